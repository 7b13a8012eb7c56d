//! Crates as cargo knows them: which programs a folder has, and building one.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

/// How much of what the compiler said is kept for the error.
const MAX_SAID_BYTES: usize = 64 << 10;

/// One program of a crate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crate {
    /// The folder with its manifest.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) binary: String,
    /// Whether it is built with optimisations.
    pub(crate) release: bool,
    /// Its folder and those of the crates beside it that it is built from.
    pub(crate) sources: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    default_run: Option<String>,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
}

/// One line of `cargo build --message-format json`, as far as it matters.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

/// The program called `binary` in the crate at `folder`, or its only one.
///
/// # Errors
/// When there is no crate, no such program, or several and none was named; the error lists them.
pub(crate) async fn find(folder: &Path, binary: Option<&str>) -> anyhow::Result<Crate> {
    let shown = folder.display();
    let folder = folder.canonicalize().with_context(|| format!("cannot use {shown}"))?;
    let manifest = folder.join("Cargo.toml");
    if !manifest.exists() {
        bail!("no entry point found in {shown}: it has no Cargo.toml, and only a crate has several programs");
    }
    let metadata = metadata(&folder).await?;
    let package = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    let package = package.ok_or_else(|| {
        anyhow!("no entry point found in {shown}: its Cargo.toml is only a workspace; name the folder of one crate")
    })?;
    let programs: Vec<&str> =
        package.targets.iter().filter(|target| target.is_program()).map(|target| target.name.as_str()).collect();
    let binary = match (binary, programs.as_slice(), &package.default_run) {
        (Some(wanted), all, _) if all.contains(&wanted) => wanted,
        (Some(wanted), all, _) => bail!("{shown} has no program {wanted:?}; it has {}", all.join(", ")),
        (None, [], _) => {
            bail!("no entry point found in {shown}: crate {} has no binary (src/main.rs, src/bin)", package.name)
        }
        (None, [only], _) => only,
        (None, _, Some(default)) => default,
        (None, all, None) => {
            let choices: Vec<String> = all.iter().map(|name| format!("{shown}:{name}")).collect();
            bail!("{shown} has several programs; say which one: {}", choices.join(", "))
        }
    };
    let mut sources = vec![folder.clone()];
    collect_sources(&metadata, package, &mut sources);
    Ok(Crate { folder, binary: binary.to_owned(), release: false, sources })
}

/// Builds it and returns the executable. Dropping the future ends the compiler.
///
/// # Errors
/// What the compiler said.
pub(crate) async fn build(it: &Crate, mut progress: impl FnMut(&str)) -> anyhow::Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--message-format", "json-render-diagnostics", "--bin", &it.binary]);
    command.args(it.release.then_some("--release")).current_dir(&it.folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("cannot run cargo, which a crate is built with: is Rust installed?")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let stderr = child.stderr.take().context("cargo has no standard error")?;
    let messages = async {
        let mut executable = None;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            let is_it = message.target.is_some_and(|target| target.name == it.binary && target.is_program());
            if message.reason == "compiler-artifact" && is_it {
                executable = message.executable.or(executable);
            }
        }
        anyhow::Ok(executable)
    };
    let said = async {
        let mut said = String::new();
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await? {
            progress(line.trim());
            if said.len() < MAX_SAID_BYTES {
                said.push_str(&line);
                said.push('\n');
            }
        }
        anyhow::Ok(said)
    };
    let (executable, said) = tokio::try_join!(messages, said)?;
    if !child.wait().await?.success() {
        bail!("{} does not build:\n{}", it.binary, said.trim_end());
    }
    executable.ok_or_else(|| anyhow!("cargo built {} without saying where it is", it.binary))
}

async fn metadata(folder: &Path) -> anyhow::Result<Metadata> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("cannot run cargo, which a crate is built with: is Rust installed?")?;
    let mut said = String::new();
    let mut written = Vec::new();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (stdout.context("cargo has no output")?, stderr.context("cargo has no errors")?);
    tokio::try_join!(stdout.read_to_end(&mut written), stderr.read_to_string(&mut said))?;
    if !child.wait().await?.success() {
        bail!("cargo cannot read {}:\n{}", folder.join("Cargo.toml").display(), said.trim_end());
    }
    serde_json::from_slice(&written).context("cargo describes the crate in a way that is not understood")
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Adds the folders of what `package` is built from by path, as far as the workspace knows it.
fn collect_sources(metadata: &Metadata, package: &Package, sources: &mut Vec<PathBuf>) {
    for path in package.dependencies.iter().filter_map(|dependency| dependency.path.as_ref()) {
        if sources.contains(path) {
            continue;
        }
        sources.push(path.clone());
        let next = metadata.packages.iter().find(|package| package.manifest_path.parent() == Some(path));
        if let Some(next) = next {
            collect_sources(metadata, next, sources);
        }
    }
}

impl Target {
    fn is_program(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}
