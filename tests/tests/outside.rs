//! A crate of somebody else, which has the SDK as a dependency and nothing from this workspace.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mesh_tests::lab::{self, Lab};
use mesh_tests::tree;

const PROGRAM: &str = r#"
use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Greeting {
    text: String,
}

/// Greets someone.
#[mesh::tool(capability = "greeting", idempotent)]
async fn greet(
    /// Who to greet.
    name: String,
    #[default("Hello")] salutation: String,
) -> Result<Greeting> {
    Ok(Greeting { text: format!("{salutation}, {name}!") })
}

#[mesh::main]
async fn main() -> Result {
    let agent = Agent::new("outside").tool::<greet>().start().await?;
    let greeting: Greeting = agent.dep("greeting")?.call(args! { name: "stranger" }).await?;
    println!("{}", greeting.text);
    agent.stop().await;
    Ok(())
}
"#;

/// The manifest of the crate, and the profile of the workspace, so that dependencies built there are not built again. Our
/// own crates are: cargo tells a member of a workspace from the same crate elsewhere.
fn manifest() -> String {
    let ours = ["mesh-sdk", "mesh-macros", "mesh-node", "mesh-gossip"];
    let quick = ours.map(|name| format!("[profile.dev.package.{name}]\nopt-level = 0\n"));
    format!(
        "[package]\nname = \"outside\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.dev]\ndebug = false\nincremental = false\n\n[profile.dev.package.\"*\"]\nopt-level = 2\n\n{}\n\
         [dependencies]\nmesh-sdk = {{ path = {:?} }}\nschemars = \"1\"\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n",
        quick.concat(),
        tree::root().join("sdk"),
    )
}

/// What else the crate has to depend on so that its dependencies have the features that they have in the workspace. Cargo
/// builds those once more, and all that stand on them, of which one has a feature that another crate asked for.
fn shared_features(folder: &Path) -> String {
    let (there, here) = (features(&tree::root(), &["--workspace"]), features(folder, &[]));
    let differs = here.iter().filter_map(|(package, here)| match (there.get(package)?.as_slice(), here.as_slice()) {
        ([there], [here]) if there != here => Some((package.split_once(" v")?, there)),
        // With one set for programs and one for what runs while they are built it cannot be told which is meant.
        _ => None,
    });
    let dependency = |(place, ((name, version), features)): (usize, ((&str, &str), &String))| {
        let features: Vec<&str> = features.split(',').collect();
        format!(
            "shared-{place} = {{ package = {name:?}, version = \"={version}\", default-features = false, features = {features:?} }}\n"
        )
    };
    differs.enumerate().map(dependency).collect()
}

/// All packages that are built for a manifest, and with which features.
fn features(folder: &Path, arguments: &[&str]) -> BTreeMap<String, Vec<String>> {
    let listed = lab::cargo()
        .args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}|{f}"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines().filter(|line| !line.is_empty()) {
        let (package, features) = line.split_once('|').unwrap();
        // Behind the version there may be where it is, and that it is a procedural macro; behind the features that its own
        // dependencies were listed before.
        let package = package.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let features = features.trim_end_matches(" (*)").to_owned();
        let sets = found.entry(package).or_default();
        if !sets.contains(&features) {
            sets.push(features);
        }
    }
    found
}

fn build(folder: &Path) {
    let target = lab::binaries().parent().unwrap();
    let built = lab::cargo()
        .args(["build", "--quiet", "--offline"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn a_crate_outside_of_the_repository_is_built_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/main.rs"), PROGRAM).unwrap();
    fs::write(folder.path().join("Cargo.toml"), manifest()).unwrap();
    fs::copy(tree::root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let shared = shared_features(folder.path());
    fs::write(folder.path().join("Cargo.toml"), manifest() + &shared).unwrap();
    build(folder.path());

    let lab = Lab::new();
    let ran = lab.program("outside").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(said, "Hello, stranger!\n", "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success());
}
