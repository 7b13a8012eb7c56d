//! Software of others: the conformance suite, the inspector, official SDKs and servers, as `.ci/node-tools`,
//! `.ci/mcp-mesh` and `.ci/java-tools` install them; and what Debian packages.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::lab::PATIENCE;
use crate::tree;

/// How long a program of others may run.
const LONGEST: Duration = Duration::from_secs(180);

/// A client of another SDK that prints a line whenever what it watches has changed. Dropped, it is killed.
pub struct Watcher {
    name: String,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// A page that was opened in a browser.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// What the script gave back.
    pub shown: Value,
    /// What the page's own code failed with.
    pub failures: Vec<String>,
}

/// Where everything is, installed once for all tests of this process.
///
/// # Panics
/// When something is missing and cannot be installed.
pub async fn tools() -> &'static Path {
    static TOOLS: OnceCell<PathBuf> = OnceCell::const_new();
    TOOLS
        .get_or_init(|| async {
            let installed = Command::new(tree::root().join(".ci/node-tools")).status().await;
            let is_there = installed.is_ok_and(|status| status.success());
            assert!(is_there, ".ci/node-tools failed: it says above what it could not install");
            tree::root().join("target/tools")
        })
        .await
}

/// The path of a file in an npm package.
pub async fn package(file: &str) -> String {
    tools().await.join("npm/node_modules").join(file).to_string_lossy().into_owned()
}

/// The Python that has the official SDK.
pub async fn python() -> PathBuf {
    tools().await.join("python/bin/python")
}

/// The Node that all npm packages run on.
pub async fn node() -> PathBuf {
    tools().await.join("npm/node_modules/node/bin/node")
}

/// The virtual environment that has the stock SDK of the existing system, as `.ci/mcp-mesh` installs it, once for all tests
/// of this process.
///
/// # Panics
/// When it is missing and cannot be installed.
pub fn stock_python() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let installed = std::process::Command::new(tree::root().join(".ci/mcp-mesh")).status();
        let is_there = installed.is_ok_and(|status| status.success());
        assert!(is_there, ".ci/mcp-mesh failed: it says above what it could not install");
        tree::root().join("target/tools/mcp-mesh")
    })
}

/// A program of the existing system that comes without Python: `meshctl`, or `meshui`, which is its dashboard. None where it
/// is not published for machines like this one.
///
/// # Panics
/// As [`stock_python`], with which it is installed.
pub fn stock_program(name: &str) -> Option<PathBuf> {
    let tools = stock_python().with_file_name("mcp-mesh-cli");
    Some(tools.join("node_modules/@mcpmesh/cli-linux-x64/bin").join(name)).filter(|program| program.exists())
}

/// What `MAVEN_OPTS` has to say for Maven to find what the Java agent of the tests depends on, which `.ci/java-tools` fetches
/// once, with a JDK and Maven themselves.
///
/// # Panics
/// When it is missing and cannot be installed.
pub fn maven_options() -> String {
    let installed = std::process::Command::new(tree::root().join(".ci/java-tools")).status();
    let is_there = installed.is_ok_and(|status| status.success());
    assert!(is_there, ".ci/java-tools failed: it says above what it could not install");
    format!("-Dmaven.repo.local={}", tree::root().join("target/tools/maven").display())
}

/// Opens pages in Chromium, one after the other, each a URL and a script that is run in it.
///
/// # Panics
/// When the browser cannot be run, or a script fails.
pub async fn pages(pages: &[(&str, &str)]) -> Vec<Page> {
    let profile = tempfile::tempdir().expect("a temporary directory can be made");
    let mut browser = script("browser.mjs").await;
    browser.arg(debian("chromium", "chromium")).arg(profile.path());
    browser.args(pages.iter().flat_map(|(url, script)| [url, script]));
    let output = browser.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(|line| serde_json::from_str(line).expect("each line is a page")).collect()
}

/// Runs a program of the npm packages, and answers what it says.
///
/// # Errors
/// The same, when it fails.
///
/// # Panics
/// When it cannot be run, or does not end within three minutes.
pub async fn npm(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(node().await);
    command
        .arg(package(&format!(".bin/{program}")).await)
        .args(arguments)
        .env("PATH", path().await)
        .stdin(Stdio::null());
    let run = timeout(LONGEST, command.kill_on_drop(true).output()).await;
    let output = run.expect("it ends within three minutes").expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Where a program of Debian is; its package is installed when it is missing.
///
/// # Panics
/// When it cannot be installed.
pub fn debian(program: &str, package: &str) -> PathBuf {
    let found = || std::env::split_paths("/usr/bin:/bin").map(|folder| folder.join(program)).find(|path| path.exists());
    found().unwrap_or_else(|| {
        install(package);
        found().unwrap_or_else(|| panic!("the package {package} has no {program}"))
    })
}

/// Installs a package of Debian, and says so.
///
/// # Panics
/// When it cannot be.
pub fn install(package: &str) {
    println!("installing {package} with apt");
    let is_root = nix::unistd::geteuid().is_root();
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", package]] {
        let mut apt = std::process::Command::new(if is_root { "apt-get" } else { "sudo" });
        if !is_root {
            apt.args(["-n", "apt-get"]);
        }
        let done = apt.args(["-o", "DPkg::Lock::Timeout=120"]).args(arguments).stdin(Stdio::null()).status();
        assert!(done.is_ok_and(|status| status.success()), "install the package {package}, which this test needs");
    }
}

/// A `PATH` with our Node first.
async fn path() -> OsString {
    let node = node().await;
    let folder = node.parent().expect("it is in a folder");
    std::env::join_paths([folder.as_os_str(), OsStr::new("/usr/bin"), OsStr::new("/bin")]).expect("no colons in it")
}

/// A script of `tests/clients`, to be run with the SDK that it is written for.
///
/// # Panics
/// When the disk refuses.
pub async fn script(name: &str) -> Command {
    let script = tree::root().join("tests/clients").join(name);
    if name.ends_with(".py") {
        let mut command = Command::new(python().await);
        command.arg(script);
        return command;
    }
    // Packages are looked for beside the script.
    let beside = tools().await.join("npm").join(name);
    std::fs::copy(script, &beside).expect("the script can be copied");
    let mut command = Command::new(node().await);
    command.arg(beside);
    command
}

impl Watcher {
    /// Starts `command`, and calls it `name`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = started.unwrap_or_else(|why| panic!("{name}: {why}"));
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { name: name.to_owned(), lines, _child: child }
    }

    /// Reads on until it prints `wanted`.
    ///
    /// # Panics
    /// When it ends first, or does not within a minute.
    pub async fn prints(&mut self, wanted: &str) {
        let mut last = "nothing".to_owned();
        let printed = timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await.ok().flatten() {
                last = line;
                if last == wanted {
                    return true;
                }
            }
            false
        });
        let printed = printed.await;
        assert_eq!(printed, Ok(true), "{} was to print {wanted}, and its last line was {last}", self.name);
    }
}
