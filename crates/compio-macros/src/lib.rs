//! The attribute macros of compio: main and test
