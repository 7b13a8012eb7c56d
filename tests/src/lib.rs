//! What the tests of the whole workspace share: where it is, and which files belong to it.

pub mod tree;
