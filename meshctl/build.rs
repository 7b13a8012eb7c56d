//! Lists the documents for `meshctl man`: whatever is in `docs/`, and the README.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let docs = root.join("docs");
    println!("cargo::rerun-if-changed={}", docs.display());
    println!("cargo::rerun-if-changed={}", root.join("README.md").display());
    let entries = fs::read_dir(&docs).expect("the documents are in docs/");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("README.md"));
    files.sort();
    let mut list = String::from("&[\n");
    list.push_str(&line("overview", &root.join("README.md")));
    for path in &files {
        let topic = path.file_stem().expect("it has an extension").to_string_lossy();
        list.push_str(&line(&topic, path));
    }
    list.push_str("]\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("topics.rs");
    fs::write(out, list).expect("cargo's folder can be written");
}

fn line(topic: &str, path: &Path) -> String {
    let path = path.canonicalize().expect("it was just found");
    format!("    ({topic:?}, include_str!({:?})),\n", path.to_string_lossy())
}
