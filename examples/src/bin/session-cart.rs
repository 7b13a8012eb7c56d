//! Keeps shopping carts in memory. Of several replicas, a session stays with the one that has its cart.
//!
//! ```text
//! meshctl start -d --replicas 3 examples:session-cart
//! meshctl call put '{"item":"apple","session_id":"ada"}'
//! ```
//!
//! `session-shop` is a shop over HTTP in front of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

/// Carts by session.
#[derive(Default)]
struct Carts(Mutex<BTreeMap<String, Vec<String>>>);

/// A cart, and who keeps it.
#[derive(Serialize, JsonSchema)]
struct Cart {
    /// What is in it.
    items: Vec<String>,
    /// The process that keeps it.
    replica: u32,
}

/// Puts something into the cart of the session.
#[mesh::tool(capability = "cart", session_required)]
async fn put(item: String, carts: State<Carts>, context: Context) -> Result<Cart> {
    let session = context.session().ok_or_else(|| Error::invalid_argument("whose cart? The call has no session"))?;
    let mut carts = carts.0.lock().unwrap_or_else(PoisonError::into_inner);
    let cart = carts.entry(session.to_owned()).or_default();
    cart.push(item);
    Ok(Cart { items: cart.clone(), replica: std::process::id() })
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("session-cart").state(Carts::default()).tool::<put>().run().await
}
