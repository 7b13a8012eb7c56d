//! What outsiders and a rogue member throw at running nodes, by the million: nobody may come to harm.
//!
//! `HOSTILE_DATAGRAMS` (default 6,000,000, of which a sixth are the rogue's) says how many, `HOSTILE_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "real nodes, real sockets, real time")]

#[path = "hostile/flood.rs"]
mod flood;
#[path = "hostile/invented.rs"]
mod invented;
#[path = "hostile/mesh.rs"]
mod mesh;
#[path = "hostile/outsider.rs"]
mod outsider;
#[path = "hostile/rogue.rs"]
mod rogue;
#[path = "hostile/streams.rs"]
mod streams;

use std::time::Instant;

use mesh_gossip::reject::Reject;

use crate::flood::Flood;
use crate::mesh::{DETECTION, Mesh, RSS_GROWTH, resident};
use crate::outsider::Outsider;
use crate::rogue::Rogue;

/// The share of the outsider's datagrams that goes to the node with ordinary rate limits.
const GUARDED_SHARE: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn millions_of_hostile_datagrams_harm_nobody() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("HOSTILE_SEED").unwrap_or_else(rand::random);
    let datagrams = number("HOSTILE_DATAGRAMS").unwrap_or(6_000_000);
    println!("HOSTILE_SEED={seed} HOSTILE_DATAGRAMS={datagrams}");
    let mut mesh = Mesh::start().await;
    let before = resident();
    let outsiders = datagrams / 6 * 5;

    let mut outsider = Outsider::new(seed, &mesh);
    let begun = Instant::now();
    let mut flood = Flood::new([127, 0, 0, 66]);
    flood.throw(&mesh.guarded, outsiders / GUARDED_SHARE, || outsider.next()).await;
    mesh.news_get_through("a flood from one source").await;
    let open = outsiders - outsiders / GUARDED_SHARE;
    flood.throw(&mesh.open, open / 2, || outsider.next()).await;
    let flooding = flood.throw(&mesh.open, open / 2, || outsider.next());
    let ((), newcomer) = tokio::join!(flooding, mesh.newcomer());
    mesh.admitted(newcomer).await;
    println!("outsider: {} thrown in {:?}, {} seen to arrive", flood.thrown, begun.elapsed(), flood.arrived);
    assert!(flood.arrived * 10 >= flood.thrown * 9, "most of it is received");

    let mut rogue = Rogue::new(seed, &mesh).await;
    let begun = Instant::now();
    let mut flood = rogue.flood();
    let rogues = datagrams - outsiders;
    flood.throw(&mesh.guarded, rogues / 10, || rogue.next()).await;
    rogue.look_around(&mesh);
    flood.throw(&mesh.open, rogues / 10 * 4, || rogue.next()).await;
    rogue.look_around(&mesh);
    let flooding = flood.throw(&mesh.open, rogues / 10 * 5, || rogue.next());
    let ((), newcomer) = tokio::join!(flooding, mesh.newcomer());
    streams::pester(&rogue, &mesh).await;
    let ended = Instant::now();
    mesh.admitted(newcomer).await;
    println!("rogue: {} thrown in {:?}, {} seen to arrive", flood.thrown, begun.elapsed(), flood.arrived);
    assert!(flood.arrived * 10 >= flood.thrown * 9, "most of it is received");
    mesh.nobody_but(rogue.id()).await;
    println!("invented members are gone after {:?} (bound {DETECTION:?})", ended.elapsed());

    mesh.news_get_through("everything").await;
    let grown = resident().saturating_sub(before);
    println!("resident memory grew by {} MB (bound {} MB)", grown >> 20, RSS_GROWTH >> 20);
    mesh.print_counts().await;
    mesh.nobody_came_to_harm();
    assert!(grown < RSS_GROWTH, "tables are bounded");
    let open = mesh.open.metrics().await.unwrap();
    for reason in
        ["bad_seal", "duplicate", "foreign", "other_mesh", "other_version", "oversized", "short", "unknown_key"]
    {
        assert!(open.refused.get(reason).is_some_and(|count| *count > 0), "{reason} is never counted");
    }
    for reject in [
        Reject::Malformed,
        Reject::Forged,
        Reject::NotForUs,
        Reject::Unasked,
        Reject::StaleAccusation,
        Reject::BadOrder,
        Reject::UnknownKind,
    ] {
        assert!(open.rejects.get(&reject).is_some_and(|count| *count > 0), "{reject:?} is never counted");
    }
    let guarded = mesh.guarded.metrics().await.unwrap();
    assert!(guarded.refused.get("too_many").is_some_and(|count| *count > 0), "one source is limited");
}
