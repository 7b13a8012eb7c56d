//! Records on their way.

use std::time::Duration;

use bytes::Bytes;

use super::bench::Bench;
use crate::record::Key;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn holds(bench: &Bench, at: usize, of: usize, key: &Key, bytes: &Bytes) -> bool {
    let member = bench.members[at].roster().get(&bench.id(of));
    let record = member.and_then(|member| member.records.as_ref()?.get(key));
    match record.map(|record| record.value()) {
        Some(crate::record::Value::Inline(value)) => value == bytes,
        Some(crate::record::Value::Blob { hash, .. }) => bench.members[at].blobs().contains(hash),
        _ => false,
    }
}

fn spreads(size: usize, within: Duration) {
    let mut bench = Bench::joined(20);
    let (key, value) = (key("offers"), Bytes::from(vec![7; size]));
    bench.with(3, |member, now, out| member.set(now, key.clone(), value.clone(), out)).unwrap();
    let all = |bench: &Bench| (0..20).filter(|at| *at != 3).all(|at| holds(bench, at, 3, &key, &value));
    let took = bench.run_until(within, all);
    println!("{size} bytes are everywhere after {took:?}");
}

#[test]
fn a_small_record_is_everywhere_in_a_few_hops() {
    spreads(200, Duration::from_millis(150));
}

#[test]
fn a_record_too_large_for_a_datagram_is_pulled() {
    spreads(4_000, Duration::from_millis(500));
}

#[test]
fn a_blob_follows_its_record() {
    spreads(64 << 10, Duration::from_millis(1_000));
}

#[test]
fn what_changed_while_one_was_cut_off_is_made_up_for() {
    let mut bench = Bench::joined(8);
    bench.cut = Box::new(|from, to| from == 5 || to == 5);
    bench.run(Duration::from_secs(5));
    for i in 0..50 {
        let (key, value) = (key(&format!("k{i}")), Bytes::from(vec![i; 100]));
        bench.with(usize::from(i) % 5, |member, now, out| member.set(now, key, value, out)).unwrap();
        bench.run(Duration::from_millis(200));
    }
    bench.cut = Box::new(|_, _| false);
    bench.run_until(Duration::from_secs(3), |bench| {
        let digest = bench.members[0].digest();
        let whole = |at: usize| {
            bench.members[at]
                .roster()
                .iter()
                .all(|(_, member)| member.records.as_ref().is_none_or(|held| !held.is_missing()))
        };
        (0..8).all(|at| bench.members[at].digest() == digest && whole(at))
    });
}

#[test]
fn a_removed_record_is_removed_everywhere() {
    let mut bench = Bench::joined(6);
    let key = key("health");
    bench.with(2, |member, now, out| member.set(now, key.clone(), Bytes::from_static(b"well"), out)).unwrap();
    bench.run(Duration::from_secs(1));
    bench.with(2, |member, now, out| member.remove(now, key.clone(), out));
    bench.run(Duration::from_secs(1));
    for at in (0..6).filter(|at| *at != 2) {
        let member = bench.members[at].roster().get(&bench.id(2)).unwrap();
        assert_eq!(member.records.as_ref().unwrap().iter().count(), 0);
    }
}
