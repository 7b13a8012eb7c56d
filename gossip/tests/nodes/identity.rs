//! Restarts, and two processes with one key.

use std::path::Path;

use mesh_gossip::effects::Standing;
use mesh_gossip::gossip::{Event, Gossip, GossipConfig};

use crate::bench::{PATIENCE, config, offers, see_each_other, sees, spawn, until};

fn kept(directory: &Path, seeds: &[&Gossip]) -> GossipConfig {
    GossipConfig { state_dir: Some(directory.to_owned()), agent: "shop".into(), ..config(seeds) }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_supersedes_the_old_self_at_once() {
    let disk = tempfile::tempdir().unwrap();
    let seed = spawn(config(&[])).await;
    let first = spawn(kept(disk.path(), &[&seed])).await;
    let me = first.me();
    first.set("life".parse().unwrap(), "first").await.unwrap();
    until(&seed, "the first life", |view| offers(view, me, "life", "first")).await;
    let generation = seed.view().member(&me).unwrap().alive().life().generation;
    drop(first);
    // The slot is free once the old process is gone.
    let second = loop {
        let again = spawn(kept(disk.path(), &[&seed])).await;
        if again.me() == me {
            break again;
        }
        again.leave().await.unwrap();
    };
    second.set("life".parse().unwrap(), "second").await.unwrap();
    until(&seed, "the second life", |view| offers(view, me, "life", "second")).await;
    let member = seed.view().member(&me).unwrap().clone();
    assert!(member.alive().life().generation > generation);
    assert_eq!(member.standing(), Standing::Alive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_with_one_key_one_moves_and_both_stay_members() {
    let (disk, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seed = spawn(config(&[])).await;
    let first = spawn(kept(disk.path(), &[&seed])).await;
    first.set("who".parse().unwrap(), "first").await.unwrap();
    let key = first.me();
    sees(&seed, key, Standing::Alive).await;
    copy(disk.path(), elsewhere.path());
    let mut events = first.events();
    let second = spawn(kept(elsewhere.path(), &[&seed])).await;
    assert_eq!(second.me(), key, "the key was copied");
    second.set("who".parse().unwrap(), "second").await.unwrap();
    let moved = async {
        loop {
            if let Event::Moved { to } = events.next().await.unwrap() {
                return to;
            }
        }
    };
    let moved = tokio::time::timeout(PATIENCE, moved).await.unwrap();
    assert_eq!(first.me(), moved);
    assert_ne!(moved, key);
    until(&seed, "both and what they offer", |view| {
        offers(view, key, "who", "second") && offers(view, moved, "who", "first")
    })
    .await;
    first.set("still".parse().unwrap(), "here").await.unwrap();
    until(&second, "the handle works", |view| offers(view, moved, "still", "here")).await;
    see_each_other(&[&seed, &first, &second]).await;
    assert_eq!(first.metrics().await.unwrap().counts.moves, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_seeds_are_gone_the_snapshot_leads_back() {
    let (disk, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seed = spawn(config(&[])).await;
    let stays = spawn(kept(other.path(), &[&seed])).await;
    let comes_back = spawn(kept(disk.path(), &[&seed])).await;
    see_each_other(&[&seed, &stays, &comes_back]).await;
    comes_back.leave().await.unwrap();
    let (me, dead_seed) = (comes_back.me(), config(&[&seed]).seeds);
    seed.leave().await.unwrap();
    sees(&stays, me, Standing::Left).await;
    let back = spawn(GossipConfig { seeds: dead_seed, ..kept(disk.path(), &[]) }).await;
    assert_eq!(back.me(), me);
    back.joined(PATIENCE).await.unwrap();
    see_each_other(&[&stays, &back]).await;
}
