//! What the code made by the attributes calls. Not for anybody else: it changes whenever the attributes do.

use std::time::Duration;

pub use axum::routing::{MethodFilter, on};
pub use futures::future::BoxFuture;
pub use mesh_node::tool::{Fault, Payload};
use serde::Serialize;
pub use serde_json::Value;

pub use crate::error::Error;
pub use crate::host::Call;
pub use crate::inject::Slots;
pub use crate::llm::LlmDeclaration;
pub use crate::need::Need;
pub use crate::process::run;
pub use crate::route::RouteDefinition;
pub use crate::service::{Absent, Service};
pub use crate::stream::Stream;
pub use crate::tool::{Definition, Tool};

/// An object of these members.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.trim_start_matches("r#").to_owned(), value)).collect())
}

/// The argument `name` as JSON.
///
/// # Panics
/// When the value cannot be JSON.
pub fn json(name: &str, value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|why| panic!("the argument `{name}` cannot be JSON: {why}"))
}

/// Runs what blocks where it holds nobody up. Dropping the future does not end it.
pub async fn blocking<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(body).await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A duration of so many milliseconds.
pub const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}
