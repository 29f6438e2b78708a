//! Public behaviour of `compio-io`, one module per topic.
