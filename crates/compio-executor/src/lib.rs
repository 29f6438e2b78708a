//! The single-threaded task executor of compio
