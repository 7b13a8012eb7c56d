//! Joining, restarting, and two processes with one key.

use std::time::Duration;

use super::bench::{Bench, start};
use crate::config::Config;
use crate::effects::{Input, Notice};

#[test]
fn a_lone_member_without_seeds_is_the_mesh() {
    let mut bench = Bench::new(1);
    bench.run(Duration::from_secs(1));
    assert!(bench.members[0].is_joined());
}

#[test]
fn a_newcomer_knows_all_and_is_known_to_all_at_once() {
    let mut bench = Bench::joined(10);
    let new = bench.add(start(10, &Config::lan(), 1), Some(0));
    let met = |bench: &Bench| bench.live(new) == 10 && (0..10).all(|at| bench.live(at) == 10);
    let took = bench.run_until(Duration::from_millis(500), met);
    println!("joined after {took:?}");
    assert!(bench.members[new].is_joined());
}

#[test]
fn of_two_processes_with_one_key_the_older_is_told_to_move() {
    let mut bench = Bench::joined(4);
    let mut copy = start(3, &Config::lan(), 9);
    copy.addresses = vec![super::bench::address(40)];
    bench.add(copy, Some(0));
    bench.run(Duration::from_secs(3));
    let told = bench.notices[3].iter().any(|(_, notice)| matches!(notice, Notice::Superseded { .. }));
    assert!(told, "the lower generation hears of the higher one");
}

#[test]
fn a_member_that_finds_nobody_says_so_and_goes_on_trying() {
    let mut bench = Bench::new(2);
    bench.silent.insert(0);
    bench.run(Duration::from_secs(10));
    assert!(bench.notices[1].iter().any(|(_, notice)| matches!(notice, Notice::StillAlone { .. })));
    bench.silent.remove(&0);
    bench.run(Duration::from_secs(7));
    assert!(bench.members[1].is_joined());
}

#[test]
fn a_member_whose_seeds_are_gone_is_part_of_the_mesh_that_finds_it() {
    let mut bench = Bench::joined(3);
    let lost = bench.add(start(3, &Config::lan(), 1), Some(30));
    bench.run(Duration::from_secs(5));
    assert!(!bench.members[lost].is_joined(), "nobody lives where it looks");
    bench.hand(0, Input::Seeds(&[super::bench::address(lost).gossip()]));
    bench.run_until(Duration::from_secs(1), |bench| bench.members[lost].is_joined() && bench.live(lost) == 3);
}

#[test]
fn a_restart_supersedes_the_old_self_everywhere() {
    let mut bench = Bench::joined(6);
    bench.silent.insert(5);
    let new = bench.add(start(5, &Config::lan(), 2), Some(0));
    // The new process answers at the old one's address.
    bench.run_until(Duration::from_millis(500), |bench| bench.members[new].roster().live() >= 5);
    bench.run(Duration::from_secs(3));
    for at in 0..5 {
        let known = bench.members[at].roster().get(&bench.id(new)).map(|member| member.alive.life().generation.0);
        assert_eq!(known, Some(2));
        assert_eq!(bench.members[at].roster().len(), 5, "one member, not two");
    }
}
