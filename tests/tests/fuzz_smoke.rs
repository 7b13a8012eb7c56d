//! Every decoder against damaged input, for a few seconds, on a stable compiler. The fuzzer proper is in `tests/fuzz`.
//!
//! `FUZZ_SECONDS=60` gives every decoder a minute instead.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use mesh_tests::fuzz::{Dice, TARGETS, Target, damaged};
use mesh_tests::tree;

/// Inputs for each decoder, and the most time for one. A slow machine tries fewer; it always tries the same ones first.
const BRIEFLY: (u64, Duration) = (20_000, Duration::from_millis(1500));

fn attack(target: &Target) {
    let asked = env::var("FUZZ_SECONDS").ok().map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    let (inputs, time) = asked.map_or(BRIEFLY, |time| (u64::MAX, time));
    let corpus = (target.corpus)();
    assert!(!corpus.is_empty(), "{} has no genuine input", target.name);
    corpus.iter().for_each(|genuine| (target.body)(genuine));
    let started = Instant::now();
    let seeds = (0..inputs).take_while(|_| started.elapsed() < time);
    let tried = seeds
        .map(|seed| {
            let input = damaged(&corpus, &mut Dice::seeded(seed));
            if catch_unwind(|| (target.body)(&input)).is_err() {
                panic!("{} fails on seed {seed}: {input:02x?}", target.name);
            }
        })
        .count();
    println!("{}: {tried} inputs in {:?}", target.name, started.elapsed());
}

#[test]
fn no_decoder_panics_or_breaks_its_promises_on_damaged_input() {
    TARGETS.iter().for_each(attack);
}

#[test]
fn the_fuzzer_knows_the_same_targets() {
    let folder = tree::root().join("tests/fuzz");
    let files: BTreeSet<String> = fs::read_dir(folder.join("fuzz_targets"))
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, TARGETS.iter().map(|target| target.name.to_owned()).collect());
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{} is not in its manifest", target.name);
    }
}
