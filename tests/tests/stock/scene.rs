//! A home, and a folder with a virtual environment and agents.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use mesh_tests::lab::{Lab, binaries, eventually};
use mesh_tests::others;
use serde_json::Value;
use tempfile::TempDir;

/// Where the agents of these tests are.
const AGENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stock/agents");

/// A lab, and the folder in which somebody keeps agents. Dropped, it ends what runs in it.
pub(crate) struct Scene {
    lab: Lab,
    folder: TempDir,
}

impl Deref for Scene {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }
}

impl Scene {
    /// An empty folder.
    pub(crate) fn bare() -> Self {
        let mut lab = Lab::new();
        lab.set("HOST", "127.0.0.1");
        lab.set("MCP_MESH_HTTP_HOST", "127.0.0.1");
        lab.set("MCP_MESH_SETTLE_TIMEOUT", "1");
        lab.set("PYTHONDONTWRITEBYTECODE", "1");
        // An agent whose code takes longer to read than this serves in another way, which rejects arguments that carry a
        // trace.
        lab.set("MCP_MESH_DEBOUNCE_DELAY", "4");
        Self { lab, folder: tempfile::tempdir().unwrap() }
    }

    /// One with the stock SDK in its virtual environment.
    pub(crate) fn new() -> Self {
        let scene = Self::bare();
        std::os::unix::fs::symlink(others::stock_python(), scene.path(".venv")).unwrap();
        scene
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts the agent `name` of these tests into the folder; gives its path there.
    pub(crate) fn agent(&self, name: &str) -> String {
        let code = fs::read_to_string(Path::new(AGENTS).join(name).with_extension("py")).unwrap();
        self.write(&format!("{name}/main.py"), &code)
    }

    /// Puts the folder `name` of these tests into the folder; gives its path there.
    pub(crate) fn project(&self, name: &str) -> String {
        let copied = Command::new("cp").arg("-r").arg(Path::new(AGENTS).join(name)).arg(self.path(name)).status();
        assert!(copied.unwrap().success());
        name.to_owned()
    }

    /// Writes a file into the folder, and gives its path there.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // In place of the old one at once, as editors do it.
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, path).unwrap();
        name.to_owned()
    }

    /// meshctl, called in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.command(binaries().join("meshctl"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// What it says on standard output; it has to succeed without a word on standard error.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let (said, complained) = texts(&output);
        assert!(output.status.success() && complained.is_empty(), "meshctl {arguments:?}: {said}\n{complained}");
        said
    }

    /// What it says on standard error when it fails with 1.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let (said, complained) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "meshctl {arguments:?}: {said}\n{complained}");
        complained
    }

    /// The text that a call gives back; none when it fails.
    pub(crate) fn answer(&self, arguments: &[&str]) -> Option<String> {
        let output = self.command(&[&["call"], arguments].concat()).output().unwrap();
        let result: Value = serde_json::from_slice(&output.stdout).ok()?;
        let text = result["content"][0]["text"].as_str().filter(|_| result["isError"] != true)?;
        Some(text.to_owned())
    }

    /// Calls until the answer contains `wanted`, and gives how long that took: agents hear of news with a heartbeat.
    pub(crate) async fn until_called(&self, arguments: &[&str], wanted: &str) -> Duration {
        let begun = Instant::now();
        eventually(wanted, || async { self.answer(arguments).filter(|text| text.contains(wanted)) }).await;
        begun.elapsed()
    }

    /// Where the registry is.
    pub(crate) fn seed_url(&self) -> String {
        self.nodes().into_iter().find(|node| node.role == "seed").unwrap().http_url.unwrap()
    }

    /// The pid of what was started as `name`.
    pub(crate) fn pid(&self, name: &str) -> u32 {
        fs::read_to_string(self.home().join(format!("pids/{name}.pid"))).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.command(&["stop", "--force"]).output();
    }
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}
