//! What the tests of the whole workspace share: where its files are, and what is thrown at every
//! decoder, and where real processes run.

pub mod conformance;
pub mod fuzz;
pub mod lab;
pub mod tree;

/// The program that the README shows, compiled and run as a test of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub mod readme {}
