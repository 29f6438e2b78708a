//! Owned-buffer traits and completion-based I/O traits of compio
