//! A crate of somebody else, which has the SDK as a dependency and nothing from this workspace.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

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

/// The manifest. Its profile is that of the workspace, so that what was built there is not built again.
fn manifest() -> String {
    let ours = ["mesh-sdk", "mesh-macros", "mesh-node"];
    let plain = ours.map(|name| format!("[profile.dev.package.{name}]\nopt-level = 0\ndebug = \"line-tables-only\"\n"));
    format!(
        "[package]\nname = \"outside\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         mesh-sdk = {{ path = {:?} }}\nschemars = \"1\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\nopt-level = 2\ndebug = false\n\n\
         [profile.dev.package.mesh-gossip]\nopt-level = 1\ndebug = \"line-tables-only\"\n\n{}",
        tree::root().join("sdk"),
        plain.concat()
    )
}

fn build(folder: &Path) {
    let target = lab::binaries().parent().unwrap();
    let built = Command::new(env!("CARGO"))
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
    fs::write(folder.path().join("Cargo.toml"), manifest()).unwrap();
    fs::write(folder.path().join("src/main.rs"), PROGRAM).unwrap();
    fs::copy(tree::root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    build(folder.path());

    let lab = Lab::new();
    let ran = lab.program("outside").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(said, "Hello, stranger!\n", "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success());
}
