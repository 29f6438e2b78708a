//! The results of programs.

use std::error::Error;

/// The result of the program of a host: `()`, or a `Result` whose error ends the simulation.
pub trait Outcome: sealed::Outcome {}

impl<T: sealed::Outcome> Outcome for T {}

pub(super) mod sealed {
    use std::error::Error;

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
