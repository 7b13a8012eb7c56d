//! A shop over HTTP, whose carts are with `session-cart`. The URL is in `meshctl list`.
//!
//! ```text
//! meshctl start -d examples:session-cart examples:session-shop
//! curl -H 'X-Session-Id: ada' <url>/buy/apple
//! ```

use axum::Json;
use axum::extract::Path;
use mesh::prelude::*;
use serde_json::{Value, json};

/// Puts something into the cart of whoever asks.
#[mesh::route(GET, "/buy/{item}")]
async fn buy(#[dep("cart")] cart: Dep<Value>, session: Session, Path(item): Path<String>) -> Result<Json<Value>> {
    let cart = cart.session(&session).call(args! { item }).await?;
    Ok(Json(json!({ "session": session.key(), "cart": cart })))
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("session-shop").route::<buy>().run().await
}
