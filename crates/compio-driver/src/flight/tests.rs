//! What the arena promises.
