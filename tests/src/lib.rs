//! What the tests of the whole workspace share: where its files are, and what is thrown at every decoder.

pub mod fuzz;
pub mod tree;
