//! What only unix has, or Linux: each file says what that is.

mod readiness;
#[cfg(target_os = "linux")]
mod refusals;
#[cfg(target_os = "linux")]
mod selection;
