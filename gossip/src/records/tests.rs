#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{Accepted, Bounds, Held, Own, SetError};
use crate::alive::Summary;
use crate::id::{Generation, MemberId, MeshId, PublicKey, Session};
use crate::record::{Key, MAX_INLINE_BYTES, Record, Value, tests::Seal};

const OWNER: Seal = Seal(PublicKey([7; 32]));
const LIFE: (Generation, Session) = (Generation(3), Session(5));
const WIDE: Bounds = Bounds { records: 1000, bytes: 1 << 20 };

fn own(bounds: Bounds) -> Own {
    Own::new(MemberId::of(&OWNER.0), LIFE, MeshId::of("test"), bounds)
}

fn key(number: usize) -> Key {
    format!("key-{number}").parse().unwrap()
}

fn value(text: &str) -> Value {
    Value::of(text.to_owned().into()).unwrap()
}

fn set(own: &mut Own, number: usize, text: &str) -> Vec<Arc<Record>> {
    own.set(key(number), value(text), &OWNER).unwrap()
}

fn contents<'a>(records: impl Iterator<Item = &'a Arc<Record>>) -> BTreeMap<Key, Value> {
    records.map(|record| (record.key().clone(), record.value().clone())).collect()
}

#[test]
fn an_equal_value_is_no_change() {
    let mut own = own(WIDE);
    assert_eq!(set(&mut own, 1, "a").len(), 1);
    let before = own.summary();
    assert!(set(&mut own, 1, "a").is_empty());
    assert!(own.remove(key(2), &OWNER).is_empty());
    assert_eq!(own.summary(), before);
    assert_eq!(set(&mut own, 1, "b")[0].version(), 2);
}

#[test]
fn a_summary_does_not_depend_on_how_the_records_came_about() {
    let mut own = own(WIDE);
    let mut told = Vec::new();
    for number in 0..20 {
        told.extend(set(&mut own, number % 7, &number.to_string()));
    }
    told.extend(own.remove(key(3), &OWNER));
    let mut held = Held::new(LIFE, own.summary());
    assert!(held.is_missing());
    for record in told.iter().rev() {
        held.accept(Arc::clone(record), &WIDE);
    }
    assert!(!held.is_missing());
    assert_eq!(held.summary(), own.summary());
    assert_eq!(held.settled(), 21);
    assert_eq!(contents(held.iter()), contents(own.iter()));
}

#[test]
fn the_highest_version_wins_whoever_comes_first() {
    let mut own = own(WIDE);
    let old = set(&mut own, 1, "old").remove(0);
    let new = set(&mut own, 1, "new").remove(0);
    let mut held = Held::new(LIFE, own.summary());
    assert!(matches!(held.accept(Arc::clone(&new), &WIDE), Accepted::Newer { replaced: None }));
    assert!(matches!(held.accept(old, &WIDE), Accepted::Known));
    assert!(matches!(held.accept(Arc::clone(&new), &WIDE), Accepted::Known));
    assert_eq!(held.get(&key(1)).unwrap().version(), new.version());
}

#[test]
fn records_of_another_life_are_void() {
    let record = set(&mut own(WIDE), 1, "a").remove(0);
    let mut held = Held::new((Generation(4), LIFE.1), Summary::default());
    assert!(matches!(held.accept(record, &WIDE), Accepted::Void));
}

#[test]
fn a_record_that_overtakes_its_summary_does_not_look_like_a_gap() {
    let mut own = own(WIDE);
    let first = set(&mut own, 1, "a").remove(0);
    let old = own.summary();
    let second = set(&mut own, 2, "b").remove(0);
    let mut held = Held::new(LIFE, old);
    held.accept(second, &WIDE);
    assert!(!held.is_missing());
    held.know(own.summary());
    assert!(held.is_missing());
    assert_eq!(held.settled(), 0);
    held.accept(first, &WIDE);
    assert!(!held.is_missing());
    assert_eq!(held.settled(), 2);
}

#[test]
fn removals_are_forgotten_once_everything_older_was_signed_anew() {
    let mut own = own(WIDE);
    let mut told = Vec::new();
    for number in 0..200 {
        told.extend(set(&mut own, number, "a"));
    }
    for number in 5..200 {
        told.extend(own.remove(key(number), &OWNER));
    }
    let most = told.iter().map(|record| record.version()).max().unwrap();
    assert_eq!(own.summary().last, most);
    assert!(own.summary().first > 100, "{:?}", own.summary());
    assert!(own.after(0).len() <= 5 + 5 + 16, "{} records are left", own.after(0).len());
    assert_eq!(own.in_use(), 5);
    let mut held = Held::new(LIFE, own.summary());
    for record in own.after(0) {
        held.accept(Arc::clone(record), &WIDE);
    }
    assert_eq!(held.summary(), own.summary());
}

#[test]
fn a_survivor_stays_readable_until_its_successor_came() {
    let mut own = own(Bounds { records: 3, bytes: 1 << 20 });
    let mut held = Held::new(LIFE, Summary::default());
    let kept = set(&mut own, 0, "kept").remove(0);
    held.accept(Arc::clone(&kept), &WIDE);
    let mut gone = Vec::new();
    for number in 1.. {
        gone.extend(set(&mut own, number, "a"));
        gone.extend(own.remove(key(number), &OWNER));
        if own.get(&key(0)).unwrap().version() > kept.version() {
            break;
        }
    }
    for record in gone.iter().filter(|record| *record.key() != key(0)) {
        held.accept(Arc::clone(record), &WIDE);
    }
    held.know(own.summary());
    assert!(held.is_missing());
    assert!(held.drop_void().is_empty());
    assert_eq!(held.get(&key(0)).unwrap().version(), kept.version());
    assert!(held.after(0).iter().all(|record| record.version() != kept.version()), "void records are not handed on");
    held.accept(Arc::clone(own.get(&key(0)).unwrap()), &WIDE);
    assert!(!held.is_missing());
    assert!(held.drop_void().iter().all(|record| record.version() < own.summary().first));
    assert_eq!(contents(held.iter()), contents(own.iter()));
    assert_eq!(held.len(), own.after(0).len());
}

#[test]
fn the_writer_learns_which_bound_it_has_reached() {
    let mut own = own(Bounds { records: 2, bytes: 10_000 });
    let long = || Value::of(vec![0; MAX_INLINE_BYTES].into()).unwrap();
    let too_long = Value::Inline(vec![0; MAX_INLINE_BYTES + 1].into());
    assert_eq!(own.set(key(1), too_long, &OWNER).unwrap_err(), SetError::TooLarge);
    own.set(key(1), long(), &OWNER).unwrap();
    own.set(key(2), long(), &OWNER).unwrap();
    assert_eq!(own.set(key(3), long(), &OWNER).unwrap_err(), SetError::TooMany(2));
    own.remove(key(1), &OWNER);
    own.set(key(3), value("short"), &OWNER).unwrap();
    let mut narrow = self::own(Bounds { records: 9, bytes: 5_000 });
    narrow.set(key(1), long(), &OWNER).unwrap();
    let before = narrow.summary();
    assert_eq!(narrow.set(key(2), long(), &OWNER).unwrap_err(), SetError::TooManyBytes(5_000));
    assert_eq!(narrow.summary(), before);
}

#[test]
fn a_member_that_offers_too_much_is_held_up_to_the_bound_and_no_longer_missed() {
    let mut own = own(WIDE);
    let narrow = Bounds { records: 1, bytes: 1 << 20 };
    for number in 0..5 {
        set(&mut own, number, "a");
    }
    let mut held = Held::new(LIFE, own.summary());
    let accepted: Vec<_> = own.after(0).iter().map(|record| held.accept(Arc::clone(record), &narrow)).collect();
    assert!(matches!(accepted[4], Accepted::OverBound));
    assert_eq!(held.len(), 4);
    assert!(!held.is_missing());
    let renewed = set(&mut own, 0, "b").remove(0);
    assert!(matches!(held.accept(renewed, &narrow), Accepted::Newer { replaced: Some(_) }));
}

#[test]
fn twenty_thousand_records_are_held_and_changed() {
    let bounds = Bounds::default();
    let mut own = own(bounds);
    for number in 0..20_000 {
        set(&mut own, number, "a");
    }
    assert_eq!(own.set(key(20_000), value("a"), &OWNER).unwrap_err(), SetError::TooMany(20_000));
    for number in 0..19_000 {
        own.remove(key(number * 7 % 20_000), &OWNER);
        assert!(own.after(0).len() <= 40_000);
    }
    let mut held = Held::new(LIFE, own.summary());
    for record in own.after(0) {
        held.accept(Arc::clone(record), &bounds);
    }
    assert_eq!(held.summary(), own.summary());
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, u8),
    Remove(usize),
    /// The follower hears the newest summary, and of what it lacks every record whose bit is set.
    Pull(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0usize..30, any::<u8>()).prop_map(|(key, value)| Step::Set(key, value)),
        (0usize..30).prop_map(Step::Remove),
        (0usize..30).prop_map(Step::Remove),
        any::<u64>().prop_map(Step::Pull),
    ];
    proptest::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn whatever_happens_asking_above_the_settled_version_completes_a_follower(steps in steps(), records in 1usize..40) {
        let bounds = Bounds { records, bytes: 1 << 20 };
        let mut own = own(bounds);
        let mut wanted = BTreeMap::new();
        let mut held = Held::new(LIFE, Summary::default());
        let mut rumours: Vec<Arc<Record>> = Vec::new();
        for step in steps.into_iter().chain([Step::Pull(u64::MAX)]) {
            match step {
                Step::Set(number, byte) => match own.set(key(number), value(&byte.to_string()), &OWNER) {
                    Ok(changed) => {
                        wanted.insert(key(number), value(&byte.to_string()));
                        rumours.extend(changed);
                    }
                    Err(error) => prop_assert_eq!(error, SetError::TooMany(records)),
                },
                Step::Remove(number) => {
                    wanted.remove(&key(number));
                    rumours.extend(own.remove(key(number), &OWNER));
                }
                Step::Pull(bits) => {
                    held.know(own.summary());
                    for (at, record) in rumours.drain(..).enumerate() {
                        if bits != u64::MAX && bits >> (at % 64) & 1 == 1 {
                            held.accept(record, &bounds);
                        }
                    }
                    if bits.count_ones() > 32 {
                        for record in own.after(held.settled()) {
                            held.accept(Arc::clone(record), &bounds);
                        }
                        prop_assert!(!held.is_missing());
                        held.drop_void();
                        prop_assert_eq!(held.summary(), own.summary());
                        prop_assert_eq!(contents(held.iter()), contents(own.iter()));
                    }
                }
            }
            prop_assert_eq!(&contents(own.iter()), &wanted);
            prop_assert!(own.after(0).len() <= 2 * records);
        }
    }
}
