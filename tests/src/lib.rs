//! What the tests of the whole workspace share: where its files are, what is thrown at every decoder, where real
//! processes run and are measured, and the software of others that they meet.

pub mod bench;
pub mod conformance;
pub mod fuzz;
pub mod lab;
pub mod nodes;
pub mod others;
pub mod room;
pub mod tree;

/// The program that the README shows, compiled and run as a test of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub mod readme {}
