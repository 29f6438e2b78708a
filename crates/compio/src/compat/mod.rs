//! Other runtimes beside compio's: [`tokio`].

pub mod tokio;
