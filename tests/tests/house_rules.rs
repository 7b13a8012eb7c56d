//! Rules of the house that no linter knows.

use mesh_tests::tree::{self, SourceFile};

/// A file beyond this many lines of product code is split along its own nouns before it gets another feature.
const MAX_LINES: usize = 500;

const CODE: &[&str] = &["gossip", "node", "sdk", "providers", "meshctl", "simulations", "tests", "examples"];

fn sources() -> Vec<SourceFile> {
    CODE.iter().flat_map(|folder| tree::files(folder, "rs")).collect()
}

/// Lines of `text` that hold one of `words`, as `path:line: text`. This file, which names them all, is left out.
fn offences(file: &SourceFile, text: &str, words: &[&str]) -> Vec<String> {
    if file.path == "tests/tests/house_rules.rs" {
        return Vec::new();
    }
    let lines = text.lines().enumerate();
    let found = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    found.map(|(number, line)| format!("{}:{}: {}", file.path, number + 1, line.trim())).collect()
}

#[test]
fn no_file_has_more_than_five_hundred_lines_of_product_code() {
    let long: Vec<String> = sources()
        .iter()
        .map(|file| (file.product().lines().count(), &file.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, path)| format!("{path}: {lines}"))
        .collect();
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_to_do_in_code() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX"];
    let found: Vec<String> = sources().iter().flat_map(|file| offences(file, &file.text, &words)).collect();
    assert!(found.is_empty(), "unfinished:\n{}", found.join("\n"));
}

#[test]
fn every_channel_has_a_bound() {
    let words = ["unbounded_channel", "mpsc::unbounded", "UnboundedSender", "channel::unbounded", "std::sync::mpsc"];
    let found: Vec<String> = sources().iter().flat_map(|file| offences(file, &file.text, &words)).collect();
    assert!(found.is_empty(), "unbounded:\n{}", found.join("\n"));
}

#[test]
fn nobody_sleeps_on_a_thread() {
    let found: Vec<String> = sources().iter().flat_map(|file| offences(file, &file.text, &["thread::sleep"])).collect();
    assert!(found.is_empty(), "sleeps:\n{}", found.join("\n"));
}

#[test]
fn modules_are_named_by_nouns_that_mean_something() {
    let empty = ["util", "utils", "common", "helpers", "helper", "misc", "mod"];
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|file| file.path.split('/').any(|part| empty.contains(&part.trim_end_matches(".rs"))))
        .map(|file| file.path)
        .collect();
    assert!(found.is_empty(), "say what they are:\n{}", found.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let words = ["#[allow(", "#![allow("];
    let found: Vec<String> = sources().iter().flat_map(|file| offences(file, &file.text, &words)).collect();
    assert!(found.is_empty(), "use `#[expect(…, reason = \"…\")]`:\n{}", found.join("\n"));
}
