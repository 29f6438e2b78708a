//! The connection to a program, and the whole program. They wait for time limits, and do not depend on a backend of
//! compio: the steps for backends skip this module.

mod binary;
mod client;
mod malformed;
mod tmux;
