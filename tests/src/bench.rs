//! What the benches of real processes share: figures and their bars, load, the processes at the other end.

pub mod effort;
pub mod figure;
pub mod findings;
pub mod home;
pub mod load;
pub mod post;
pub mod process;
