//! One test or more for each way in which runtimes of this kind have lost data, memory or
//! descriptors, by the numbers of `docs/soundness.md`. What counts all descriptors of a process is
//! in the binary `descriptors`.

mod descriptors;
mod memory;
mod receives;
mod reuse;
mod shutdown;
#[cfg(unix)]
mod unix;
mod writes;
