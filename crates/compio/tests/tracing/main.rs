//! The spans and events of the feature `tracing`, as a subscriber receives them.

mod operations;
mod recorder;
mod tasks;
mod timers;
mod wakers;
