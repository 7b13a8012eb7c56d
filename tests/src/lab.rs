//! Where tests run real processes: a home of its own, binaries built once, and nothing left behind.
//!
//! A lab's mesh takes free ports only and has a key of its own, so that labs, and whatever else runs on the machine, do
//! not hear of each other.

use std::ffi::OsStr;
use std::future::Future;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything that a lab waits for may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A home directory, and the processes started in it. Dropping it ends them all.
pub struct Lab {
    home: TempDir,
    environment: Vec<(String, String)>,
}

/// A process of a lab. Dropped, it is killed.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// Builds what labs run, once in a test binary, and gives the folder the binaries are in.
///
/// # Panics
/// When it does not build.
pub fn binaries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // Test binaries are in `deps` beside the others.
        let own = std::env::current_exe().expect("a test knows where it is");
        let folder = own.ancestors().nth(2).expect("a test binary is two folders deep").to_owned();
        let mut build = cargo();
        // All of the workspace, since a part of it would have dependencies with other features, all to be built once more.
        build.args(["build", "--quiet", "--locked", "--workspace", "--bins"]).current_dir(crate::tree::root());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().is_ok_and(|status| status.success()), "the programs of the workspace do not build");
        folder
    })
}

/// Cargo as it is called from a shell. The variables with which it tells a test about its package would have it build
/// again whatever depends on them, which the C parts of cryptography do.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let told = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in told.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
        cargo.env_remove(name);
    }
    cargo
}

impl Lab {
    /// An empty home.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        Self { home, environment: Vec::new() }
    }

    /// Its home directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Has all processes started from now on see a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// One of the built programs, to be run in this lab.
    pub fn program(&self, name: &str) -> Command {
        self.command(binaries().join(name))
    }

    /// Any program, to be run in this lab.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Whatever mesh the machine belongs to, this lab is another one.
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

    /// Runs meshctl to its end.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn meshctl(&self, arguments: &[&str]) -> Output {
        self.program("meshctl").args(arguments).output().expect("meshctl runs")
    }

    /// As [`Lab::meshctl`], for what has to succeed without a word on standard error: gives its standard output.
    ///
    /// # Panics
    /// When it fails or complains, with what it said.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.meshctl(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        assert!(status.success() && complained.is_empty(), "meshctl {arguments:?}: {status}\n{said}\n{complained}");
        said
    }

    /// Starts a program in the background; its output goes into a file of the lab.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, command: &mut Command) -> Process {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = self.home().join(format!("process-{number}.log"));
        let file = std::fs::File::create(&log).expect("the lab's disk takes a log");
        let errors = file.try_clone().expect("a file can be shared");
        let child = command.stdout(file).stderr(errors).spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        Process { child, log }
    }

    /// The run-time files of the nodes that run in this lab now.
    pub fn nodes(&self) -> Vec<mesh_node::runtime_file::RuntimeFile> {
        mesh_node::runtime_file::running(self.home())
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Detached processes are nobody's children: they are found by what they wrote down.
        // Nodes of this very process are ended by whoever holds them.
        for node in self.nodes().into_iter().filter(|node| node.pid != std::process::id()) {
            let pid = i32::try_from(node.pid).expect("process ids are small");
            // It may be gone by now.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the process is there");
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        let read = std::fs::File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
        read.map_or_else(|why| why.to_string(), |_| text)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until `found` finds something, and gives that.
///
/// # Panics
/// When it does not for [`PATIENCE`], with `what` was looked for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut found: impl FnMut() -> F) -> T {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    while began.elapsed() < PATIENCE {
        looks.tick().await;
        if let Some(found) = found().await {
            return found;
        }
    }
    panic!("waited {PATIENCE:?} in vain for {what}");
}
