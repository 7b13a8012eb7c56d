//! The source tree, as the tests that judge it see it.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the workspace.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path from the workspace's root, with forward slashes.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl SourceFile {
    /// The part before the test module, which the rules for product code apply to. By convention (see CONTRIBUTING)
    /// tests come last; files below a `tests` folder, or called so, are nothing but tests.
    pub fn product(&self) -> &str {
        if self.path.split('/').any(|part| part == "tests" || part.ends_with("tests.rs")) {
            return "";
        }
        match self.text.find("#[cfg(test)]\nmod ") {
            Some(start) => &self.text[..start],
            None => &self.text,
        }
    }
}

/// The folder with the workspace's manifest.
///
/// # Panics
/// When this crate was moved out of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests are a folder of the workspace").to_owned()
}

/// All files below `folder` (a path from the root) whose name ends in `.extension`, ordered by path. Build output and
/// hidden folders are left out; a folder that does not exist holds nothing.
pub fn files(folder: &str, extension: &str) -> Vec<SourceFile> {
    let root = root();
    let mut found = Vec::new();
    collect(&root, &root.join(folder), extension, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, extension: &str, found: &mut Vec<SourceFile>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(root, &path, extension, found);
            }
        } else if path.extension().is_some_and(|it| it == extension)
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).expect("found below the root");
            found.push(SourceFile { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}
