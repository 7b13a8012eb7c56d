//! Calls under one key stay with one replica.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use mesh::prelude::*;
use mesh::testing::{Mesh, RunningMesh};

/// What a replica keeps: how much was put into each cart.
struct Carts {
    replica: usize,
    held: Mutex<BTreeMap<String, u32>>,
}

/// Puts something into the cart of the session; says how much is in it, and who has it.
#[mesh::tool(capability = "cart", session_required)]
async fn put(carts: State<Carts>, context: Context) -> Result<(u32, usize)> {
    let session = context.session().ok_or_else(|| Error::invalid_argument("whose cart?"))?;
    let mut held = carts.held.lock().unwrap();
    let count = held.entry(session.to_owned()).or_default();
    *count += 1;
    Ok((*count, carts.replica))
}

/// Its calls are part of whatever session it is called in.
#[mesh::tool(capability = "shop")]
async fn buy(#[dep("cart")] cart: Dep<(u32, usize)>) -> Result<(u32, usize)> {
    Ok(cart.call(()).await?)
}

fn cart(replica: usize) -> Agent {
    Agent::new("cart").state(Carts { replica, held: Mutex::default() }).tool::<put>()
}

async fn three_carts_and_a_shop() -> RunningMesh {
    let mesh = (0..3).fold(Mesh::new(), |mesh, replica| mesh.with(cart(replica)));
    let mesh = mesh.with(Agent::new("shop").tool::<buy>()).start().await.unwrap();
    mesh.wait_for("shop").await.unwrap();
    mesh
}

#[tokio::test]
async fn a_session_stays_with_its_replica_and_sessions_are_spread() {
    let mesh = three_carts_and_a_shop().await;
    let cart = mesh.dep::<(u32, usize)>("cart").unwrap();
    let mut used = BTreeSet::new();
    for session in 0..20 {
        let session = cart.clone().session(format!("session {session}"));
        let (_, replica) = session.call(()).await.unwrap();
        for count in 2..6 {
            assert_eq!(session.call(()).await.unwrap(), (count, replica));
        }
        used.insert(replica);
    }
    assert_eq!(used.len(), 3, "nobody keeps all sessions");
}

#[tokio::test]
async fn all_consumers_find_the_replica_of_a_session_however_they_name_it() {
    let mesh = three_carts_and_a_shop().await;
    let (first, replica) = mesh.dep::<(u32, usize)>("cart").unwrap().session("ada").call(()).await.unwrap();
    assert_eq!(first, 1);
    // Another agent, in whose call the session is inherited.
    let inherited = mesh.dep::<(u32, usize)>("shop").unwrap().session("ada").call(()).await.unwrap();
    assert_eq!(inherited, (2, replica));
    let none = mesh.call::<(u32, usize)>("cart", ()).await.unwrap_err().to_string();
    assert!(none.contains("put needs a session"), "{none}");
    let wrong = mesh.dep::<(u32, usize)>("cart").unwrap().session("").call(()).await.unwrap_err().to_string();
    assert_eq!(wrong, "a session key has 1 to 256 bytes");
}

#[tokio::test]
async fn a_session_moves_once_when_its_replica_is_gone_and_stays_where_it_went() {
    let mut mesh = Mesh::new().with(cart(0)).start().await.unwrap();
    let ada = mesh.dep::<(u32, usize)>("cart").unwrap().session("ada");
    assert_eq!(ada.call(()).await.unwrap(), (1, 0));
    for replica in 1..3 {
        mesh.join(cart(replica)).await.unwrap();
    }
    assert_eq!(ada.call(()).await.unwrap(), (2, 0), "newcomers do not take what others have");
    // The first of that name.
    mesh.stop("cart").await.unwrap();
    let (count, replica) = ada.call(()).await.unwrap();
    assert!(count == 1 && replica != 0, "{count} {replica}");
    for count in 2..6 {
        assert_eq!(ada.call(()).await.unwrap(), (count, replica));
    }
}
