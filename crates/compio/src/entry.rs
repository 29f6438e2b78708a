//! The code that `#[compio::main]` and `#[compio::test]` expand to. No public API.

use std::{fmt, io, marker::PhantomData, rc::Rc};

use crate::runtime::{Inner, try_current, wait_at_end};

/// The runtime that has been entered, or the thread's own.
pub struct Current(Rc<Inner>);

/// The thread's runtime, made on first use.
pub fn current() -> io::Result<Current> {
    try_current().map(Current)
}

impl Current {
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let output = self.0.block_on(future);
        // The end of a whole program waits for blocking work as the drop of a runtime does.
        wait_at_end();
        output
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").finish_non_exhaustive()
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

/// The first choice of `output.without_runtime(error)`: `self` has the type of the value.
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
