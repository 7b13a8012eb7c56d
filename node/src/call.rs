//! Calling whoever provides something: resolve, choose, attempt, classify, perhaps the next one.

pub mod error;
pub mod exchange;
pub mod options;
pub mod question;
pub mod quic;
pub mod request;
pub mod window;

use std::sync::Arc;

pub use error::CallError;
pub use request::{Reply, Request, Target};

/// The way from one node to all tools of the mesh. Cheap to clone; all clones share breakers, bindings and budgets.
#[derive(Clone)]
pub struct Caller(#[expect(dead_code, reason = "filled in next")] Arc<Inner>);

struct Inner;
