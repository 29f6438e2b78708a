//! The results of programs.

use std::error::Error;

/// The result of the program of a host: `()`, a `Result` whose error ends the simulation, or `!` of a program without end.
pub trait Outcome: sealed::Outcome {}

impl<T: sealed::Outcome> Outcome for T {}

pub(super) mod sealed {
    use std::error::Error;

    /// The type that a function returns.
    pub trait Returns {
        type Output;
    }

    impl<T> Returns for fn() -> T {
        type Output = T;
    }

    pub trait Outcome: 'static {
        fn into_result(self) -> Result<(), Box<dyn Error>>;
    }
}

impl sealed::Outcome for () {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error>> + 'static> sealed::Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        self.map_err(Into::into)
    }
}

impl sealed::Outcome for Never {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        self
    }
}

/// The type `!` of programs that never end. Stable Rust names it in the type of a function only.
type Never = <fn() -> ! as sealed::Returns>::Output;
