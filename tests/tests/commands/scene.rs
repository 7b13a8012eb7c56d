//! A mesh that the tests of one run share, and meshctl asked about it.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::{io::Write, process::Command};

use mesh_node::runtime_file::RuntimeFile;
use mesh_tests::lab::Lab;
use serde_json::Value;

/// What agents of the scene can be asked for once it is up.
const WANTED: [&str; 6] = ["clerk", "clerk-junior", "hello-world", "date_service", "office.notes", "reading"];

/// A seed, the two clerks, and the two agents of the first example.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
}

impl Scene {
    /// The one that other tests use at the moment, else a new one. It ends with the last test that uses it.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Scene>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let scene = Arc::new(Self::new());
            *shared = Arc::downgrade(&scene);
            scene
        })
    }

    /// One of a test's own.
    pub(crate) fn new() -> Self {
        let mut lab = Lab::new();
        lab.set("MCP_MESH_PROPAGATE_HEADERS", "x-tenant");
        lab.succeed(&["init"]);
        let programs = ["clerks", "hello-world", "hello-date"].map(|name| lab.program(name));
        let programs: Vec<&str> = programs.iter().map(|program| program.get_program().to_str().unwrap()).collect();
        lab.succeed(&[&["start", "-d", "--wait"], &programs[..]].concat());
        lab.succeed(&[&["wait"], &WANTED[..]].concat());
        Self { lab }
    }

    /// What meshctl answers on standard output; it has to succeed without a word on standard error.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        self.lab.succeed(arguments)
    }

    /// The same where standard output has to be JSON and nothing else.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.says(arguments);
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("{arguments:?} is no JSON: {why}\n{said}"))
    }

    /// What the tool `[agent:]tool` gives back, as JSON.
    pub(crate) fn call(&self, arguments: &[&str]) -> Value {
        self.json(&[&["call"], arguments].concat())["structuredContent"].clone()
    }

    /// The complaint of a command that has to fail with 1, having said nothing on standard output.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        complaint(&self.lab.meshctl(arguments), 1)
    }

    /// The same of a mistake in how it was typed.
    pub(crate) fn does_not_take(&self, arguments: &[&str]) -> String {
        complaint(&self.lab.meshctl(arguments), 2)
    }

    /// meshctl with these words, to be told more.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.program("meshctl");
        command.args(arguments);
        command
    }

    /// Runs meshctl with `text` on its standard input.
    pub(crate) fn told(&self, arguments: &[&str], text: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// A file with `text`.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.lab.home().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The run-time file of the agent of this name, or of the `seed`.
    pub(crate) fn node(&self, name: &str) -> RuntimeFile {
        let mut nodes = self.lab.nodes().into_iter();
        nodes.find(|node| node.name == name || node.role == name).unwrap_or_else(|| panic!("no node {name}"))
    }
}

/// What is on standard error of a command that failed as it should.
pub(crate) fn complaint(output: &Output, code: i32) -> String {
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}\n{complained}");
    assert_eq!(said, "", "{complained}");
    assert!(complained.to_lowercase().starts_with("error: "), "{complained}");
    complained.into_owned()
}
