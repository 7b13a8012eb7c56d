//! A home of its own for a test, and meshctl in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mesh_node::runtime_file::{self, RuntimeFile, process_started};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// A home, a folder of scripts, and an environment. Dropped, it ends what runs in it.
pub(crate) struct Stage {
    home: TempDir,
    scripts: TempDir,
    environment: Vec<(String, String)>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), scripts: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// An executable shell script of that name.
    pub(crate) fn script(&self, name: &str, lines: &str) -> String {
        let path = self.scripts.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A crate without dependencies, whose programs say their lines and stay.
    pub(crate) fn package(&self, name: &str, programs: &[(&str, &str)]) -> PathBuf {
        let folder = self.scripts.path().join(name);
        fs::create_dir_all(folder.join("src/bin")).unwrap();
        fs::write(folder.join("Cargo.toml"), format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n")).unwrap();
        for (program, line) in programs {
            fs::write(folder.join(format!("src/bin/{program}.rs")), source(line)).unwrap();
        }
        folder
    }

    /// A program in this stage's environment.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let theirs = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in theirs.filter(|name| name.starts_with("MESH_") || name.starts_with("MCP_MESH_")) {
            command.env_remove(name);
        }
        command
            .env("MCP_MESH_HOME", self.home())
            .env("MESH_LISTEN", "127.0.0.1:0")
            .env("MESH_HTTP_LISTEN", "127.0.0.1:0")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_meshctl"));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs meshctl, and reads both its streams to their ends.
    pub(crate) fn meshctl(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// As [`Stage::meshctl`], for what has to succeed without a word on standard error.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.meshctl(arguments);
        let (said, complained) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{said}\n{complained}", output.status);
        assert_eq!(complained, "", "{arguments:?}");
        said
    }

    /// Starts meshctl and reads along.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Follow {
        let mut child = self.command(arguments).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Follow { child, lines }
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        fs::read_to_string(self.home().join(format!("pids/{name}.pid"))).unwrap().trim().parse().unwrap()
    }

    /// All that runs in the process group of `name`.
    pub(crate) fn group(&self, name: &str) -> Vec<u32> {
        let listed = self.program("ps").args(["-o", "pid=,pgid=", "-A"]).output().unwrap();
        let leader = self.pid(name).to_string();
        let listed = text(listed.stdout);
        let rows = listed.lines().filter_map(|line| line.trim().split_once(' '));
        rows.filter(|(_, group)| group.trim() == leader).map(|(pid, _)| pid.parse().unwrap()).collect()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.home().join(format!("logs/{name}.log"))).unwrap_or_default()
    }

    pub(crate) fn older_log(&self, name: &str, age: usize) -> String {
        self.log(&format!("{name}.{age}"))
    }

    pub(crate) fn signal(&self, pid: u32, signal: &str) {
        assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
    }

    pub(crate) fn nodes(&self) -> Vec<RuntimeFile> {
        runtime_file::running(self.home())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.meshctl(&["stop", "--force"]);
    }
}

/// A meshctl that runs on while the test reads what it says.
pub(crate) struct Follow {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Follow {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads until a line contains `words`.
    pub(crate) fn shows(&mut self, words: &str) {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "never said {words:?}, but:\n{seen}");
            if line.contains(words) {
                return;
            }
            seen.push_str(&line);
        }
    }

    pub(crate) fn ends(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process runs; a zombie does not.
pub(crate) fn alive(pid: u32) -> bool {
    process_started(pid).is_some()
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::park_timeout(LOOK);
    }
}

/// A program that says a line and stays.
pub(crate) fn source(line: &str) -> String {
    format!("fn main() {{ println!(\"{line}\"); loop {{ std::thread::park(); }} }}\n")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
