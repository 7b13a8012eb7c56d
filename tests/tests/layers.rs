//! The table of crates in ARCHITECTURE.md is the rule, and this checks it: names, folders, who may depend on whom.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use mesh_tests::tree;
use serde_json::Value;

/// A line of the table.
struct Layer {
    folder: String,
    may_depend_on: BTreeSet<String>,
}

/// The rows between the header that begins with `| crate |` and the next blank line, in order.
fn table() -> (Vec<String>, BTreeMap<String, Layer>) {
    let text = fs::read_to_string(tree::root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| crate |")).skip(2);
    let mut order = Vec::new();
    let mut layers = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').to_owned();
        let quoted = cells[3].split('`').skip(1).step_by(2).map(str::to_owned);
        let folder = cells[2].trim_matches('`').trim_end_matches('/').to_owned();
        layers.insert(name.clone(), Layer { folder, may_depend_on: quoted.collect() });
        order.push(name);
    }
    assert!(order.len() >= 8, "the table of ARCHITECTURE.md was not found");
    (order, layers)
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(tree::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn dependencies(package: &Value) -> BTreeSet<String> {
    package["dependencies"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

fn is_ours(name: &str) -> bool {
    name == "meshctl" || name.starts_with("mesh-")
}

#[test]
fn every_crate_is_in_the_table_and_lives_in_its_folder() {
    let (_, layers) = table();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let manifest = package["manifest_path"].as_str().unwrap();
        let layer = layers.get(name).unwrap_or_else(|| panic!("{name} is not in the table of ARCHITECTURE.md"));
        let expected = tree::root().join(&layer.folder).join("Cargo.toml");
        assert_eq!(fs::canonicalize(manifest).unwrap(), fs::canonicalize(expected).unwrap(), "{name} lives elsewhere");
    }
}

#[test]
fn a_crate_depends_only_on_the_crates_its_row_names() {
    let (_, layers) = table();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        for dependency in dependencies(&package).into_iter().filter(|it| is_ours(it)) {
            assert!(layers[name].may_depend_on.contains(&dependency), "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn the_table_lets_nobody_depend_on_a_crate_below() {
    let (order, layers) = table();
    for (place, name) in order.iter().enumerate() {
        for allowed in &layers[name].may_depend_on {
            let above = order.iter().position(|it| it == allowed);
            assert!(above.is_some_and(|it| it < place), "{name} may depend on {allowed}, which is not above it");
        }
    }
}

#[test]
fn foca_is_measured_beside_and_never_built_in() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        assert!(name == "mesh-simulations" || !dependencies(&package).contains("foca"), "{name} depends on foca");
    }
}

#[test]
fn every_crate_takes_the_lints_and_the_edition_of_the_workspace() {
    for package in packages() {
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        for line in ["[lints]\nworkspace = true", "edition.workspace = true", "license.workspace = true"] {
            assert!(manifest.contains(line), "{} lacks `{line}`", package["name"]);
        }
    }
}
