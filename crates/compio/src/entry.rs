//! The code that `#[compio::main]` and `#[compio::test]` expand to. No public API.

use std::{fmt, io, marker::PhantomData, rc::Rc};

use crate::{
    cores::{DispatcherBuilder, MainWorker},
    runtime::{Inner, Runtime, RuntimeBuilder, existing},
};

/// The entered runtime, or the thread's own, or a new one that ends with the call.
///
/// A new one ends before the process does. The end of a thread is too late for its drop: on Windows the
/// threads of its pool are gone by then, and it could not wait for their work.
pub struct EntryRuntime(Kind);

enum Kind {
    Existing(Rc<Inner>),
    New(Runtime),
}

/// The runtime for a function that carries an attribute.
pub fn runtime() -> io::Result<EntryRuntime> {
    let kind = match existing() {
        Some(inner) => Kind::Existing(inner),
        None => Kind::New(Runtime::new()?),
    };
    Ok(EntryRuntime(kind))
}

/// The workers for a function that carries an attribute with `workers`.
pub fn workers(workers: usize, runtime: RuntimeBuilder) -> io::Result<MainWorker> {
    let builder = DispatcherBuilder::new().workers(workers).runtime(runtime);
    builder.start_main()
}

impl EntryRuntime {
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn block_on<F: Future>(self, future: F) -> F::Output {
        match self.0 {
            Kind::Existing(inner) => inner.block_on(future),
            Kind::New(runtime) => runtime.block_on(future),
        }
    }
}

impl fmt::Debug for EntryRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EntryRuntime").finish_non_exhaustive()
    }
}

/// The type that a function returns.
#[derive(Debug)]
pub struct Output<T>(PhantomData<T>);

impl<T> Output<T> {
    #[expect(clippy::new_without_default, reason = "written by the macros only")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// The first choice for `output.without_runtime(error)`: `self` has the type of the value.
pub trait ReturnsError<T> {
    fn without_runtime(self, error: io::Error) -> T;
}

impl<T, E: From<io::Error>> ReturnsError<Result<T, E>> for Output<Result<T, E>> {
    fn without_runtime(self, error: io::Error) -> Result<T, E> {
        Err(error.into())
    }
}

/// The second choice, which takes a reference: the type has no room for the error.
pub trait Panics<T> {
    fn without_runtime(&self, error: io::Error) -> T;
}

impl<T> Panics<T> for Output<T> {
    fn without_runtime(&self, error: io::Error) -> T {
        panic(error)
    }
}

/// For functions whose type has no name.
pub fn panic(error: io::Error) -> ! {
    panic!("this thread's runtime could not be made: {error}")
}
