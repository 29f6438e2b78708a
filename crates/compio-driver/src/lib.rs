//! The part of compio that talks to the kernel: operations, backends, completions
