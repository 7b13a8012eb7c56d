//! An HTTP API in front of the mesh. While nobody greets it answers 503, and says so. The URL is in `meshctl list`.
//!
//! ```text
//! meshctl start -d examples:route-api
//! curl <url>/greet/Ada
//! meshctl start -d examples:hello-world
//! curl <url>/greet/Ada
//! ```

use axum::Json;
use axum::extract::Path;
use mesh::prelude::*;
use serde_json::{Value, json};

/// Greets somebody over HTTP.
#[mesh::route(GET, "/greet/{name}")]
async fn greet(#[dep("greeting")] greeting: Dep<String>, Path(name): Path<String>) -> Result<Json<Value>> {
    let greeting = greeting.call(args! { name }).await?;
    Ok(Json(json!({ "greeting": greeting })))
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("greeting-api").description("Greets over HTTP").route::<greet>().run().await
}
