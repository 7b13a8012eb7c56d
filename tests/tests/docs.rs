//! What the documents say can be done, can be done: every shown command is run, every link leads somewhere.
//!
//! A command is shown in a fenced block that begins with `console run` or `console skip` and a reason, on a line of its
//! own after `$ `. Commands of a `run` block are run one after the other in one scratch folder, and in a mesh of their own;
//! `target/debug`, `meshctl` and `cargo sim` stand for what was built with the tests. What is skipped must at least exist.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use mesh_tests::lab::{self, Lab};
use mesh_tests::tree::{self, SourceFile};

/// A fenced block of a document.
struct Block {
    at: String,
    info: String,
    lines: Vec<String>,
}

impl Block {
    fn commands(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.strip_prefix("$ "))
    }
}

fn documents() -> Vec<SourceFile> {
    let mut found = tree::files("docs", "md");
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"] {
        if let Ok(text) = fs::read_to_string(tree::root().join(name)) {
            found.push(SourceFile { path: name.to_owned(), text });
        }
    }
    found
}

fn blocks(document: &SourceFile) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in document.text.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(info) if !inside => {
                let at = format!("{}:{}", document.path, number + 1);
                found.push(Block { at, info: info.trim().to_owned(), lines: Vec::new() });
                inside = true;
            }
            Some(_) => inside = false,
            None if inside => found.last_mut().unwrap().lines.push(line.trim().to_owned()),
            None => {}
        }
    }
    assert!(!inside, "{} ends inside a block", document.path);
    found
}

fn consoles() -> Vec<Block> {
    let all = documents().iter().flat_map(blocks).collect::<Vec<_>>();
    all.into_iter().filter(|block| block.info.starts_with("console")).collect()
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    // As in a clone that was built; reports go there, too.
    fs::create_dir_all(folder.join("target")).unwrap();
    symlink(lab::binaries(), folder.join("target/debug")).unwrap();
    folder
}

fn run(command: &str, lab: &Lab, folder: &Path) -> Result<(), String> {
    let words = [
        r#"cargo() { [ "$1" = sim ] || return 97; shift; target/debug/simulations "$@"; }"#,
        r#"meshctl() { target/debug/meshctl "$@"; }"#,
        command,
    ];
    let mut shell = lab.command("bash");
    shell.args(["-euo", "pipefail", "-c", &words.join("\n")]).current_dir(folder);
    // No vendor is asked here, whatever keys the machine has.
    shell.env_remove("ANTHROPIC_API_KEY").env_remove("OPENAI_API_KEY");
    let output = shell.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{}\n{said}", output.status)) }
}

#[test]
fn every_shown_command_works() {
    let mut blocks = consoles();
    blocks.retain(|block| block.info == "console run");
    let next = Mutex::new(blocks.iter());
    let take = || next.lock().unwrap().next();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|threads| {
        for _ in 0..cores {
            threads.spawn(|| {
                while let Some(block) = take() {
                    let (lab, folder) = (Lab::new(), scratch(&block.at.replace(['/', ':'], "-")));
                    for command in block.commands() {
                        run(command, &lab, &folder)
                            .unwrap_or_else(|why| panic!("{}: `{command}` fails: {why}", block.at));
                    }
                }
            });
        }
    });
}

#[test]
fn a_shown_command_is_run_or_says_why_not() {
    for document in documents() {
        for block in blocks(&document) {
            let word = block.info.split_whitespace().next().unwrap_or_default();
            assert!(!["sh", "bash", "shell"].contains(&word), "{}: call the block `console run`", block.at);
            if word == "console" {
                let reason = block.info.strip_prefix("console skip ");
                let known = block.info == "console run" || reason.is_some_and(|reason| !reason.is_empty());
                assert!(known, "{}: `{}` is neither run nor skipped for a reason", block.at, block.info);
                assert!(block.commands().next().is_some(), "{}: no line begins with `$ `", block.at);
            }
        }
    }
}

#[test]
fn a_skipped_command_names_a_target_a_test_or_a_script_that_exists() {
    let makefile = fs::read_to_string(tree::root().join("Makefile")).unwrap();
    for block in consoles().iter().filter(|block| block.info != "console run") {
        for command in block.commands() {
            let words: Vec<&str> = command.split_whitespace().filter(|word| !word.contains('=')).collect();
            let exists = match words.as_slice() {
                ["make", target, ..] => makefile.contains(&format!("\n{target}:")),
                ["cargo", "sim", ..] => true,
                ["cargo", rest @ ..] => names_existing_test(rest),
                ["git" | "cd" | "curl" | "rustup", ..] => true,
                ["bash", script, ..] | [script, ..] => tree::root().join(script).exists(),
                [] => false,
            };
            assert!(exists, "{}: `{command}` names something that is not there", block.at);
        }
    }
}

/// Whether the file behind `--test name` exists in the package behind `-p package`; true when none is named.
fn names_existing_test(words: &[&str]) -> bool {
    let after = |flag: &str| words.iter().skip_while(|word| **word != flag).nth(1);
    let (Some(package), Some(test)) = (after("-p"), after("--test")) else { return true };
    let folder = package.trim_start_matches("mesh-");
    tree::root().join(folder).join("tests").join(format!("{test}.rs")).exists()
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let folder = tree::root().join(&document.path).parent().unwrap().to_owned();
        for link in document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                broken.push(format!("{}: {link}", document.path));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing:\n{}", broken.join("\n"));
}
