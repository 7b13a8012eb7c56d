//! An HTTP API in front of the mesh: `curl <url>/greet/Ada`. While nobody greets, it answers 503 and says so.

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
