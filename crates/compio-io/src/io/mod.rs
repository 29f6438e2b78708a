//! Completion-based I/O traits.
