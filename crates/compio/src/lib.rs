//! A completion-based, thread-per-core async runtime
