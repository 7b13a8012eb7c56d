//! A lab with a folder of scripts, for what meshctl starts that is no agent of ours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mesh_node::runtime_file::process_started;
use mesh_tests::lab::{Lab, PATIENCE, binaries};
use tempfile::TempDir;

/// How long between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// A lab and a folder of scripts. Dropped, it ends what runs in it.
pub(crate) struct Stage {
    lab: Lab,
    scripts: TempDir,
}

impl Deref for Stage {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { lab: Lab::new(), scripts: tempfile::tempdir().unwrap() }
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

    /// meshctl with these words, whose output is read.
    pub(crate) fn piped(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("meshctl");
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts meshctl and reads along.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Follow {
        let mut child = self.piped(arguments).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Follow { child, lines }
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        fs::read_to_string(self.home().join(format!("pids/{name}.pid"))).unwrap().trim().parse().unwrap()
    }

    /// All that runs in the process group of `name`.
    pub(crate) fn group(&self, name: &str) -> Vec<u32> {
        let listed = self.command("ps").args(["-o", "pid=,pgid=", "-A"]).output().unwrap();
        let leader = self.pid(name).to_string();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let rows = listed.lines().filter_map(|line| line.trim().split_once(' '));
        rows.filter(|(_, group)| group.trim() == leader).map(|(pid, _)| pid.parse().unwrap()).collect()
    }

    /// The command lines of scripts that run, whoever knows of them.
    pub(crate) fn running(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(self.scripts.path().to_str().unwrap())).collect()
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

/// Where meshctl is.
pub(crate) fn meshctl() -> String {
    binaries().join("meshctl").to_str().unwrap().to_owned()
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
