//! The table of docs/seccomp.md, for Linux.

#[cfg(target_os = "linux")]
mod table;

fn main() {
    #[cfg(target_os = "linux")]
    table::main();
}
