//! Python agents: the virtual environment, and whether the SDK is in it.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::tool;

/// The oldest Python that the SDK runs on.
const OLDEST: (u32, u32) = (3, 11);

/// How long its compiler may take.
const COMPILING: Duration = Duration::from_secs(60);

/// Says its version, and whether the SDK could be imported, without doing so: that takes a second.
const LOOK: &str = "import sys, importlib.util as u\n\
                    print(*sys.version_info[:2], any(u.find_spec(m) for m in ('mesh', '_mcp_mesh', 'mcp_mesh')))";

/// How `script` is run when meshctl is called in `from`.
///
/// # Errors
/// What is missing, and the command that brings it.
pub(super) async fn command(script: &Path, from: &Path) -> anyhow::Result<Vec<String>> {
    let python = interpreter(script, from).await?;
    let shown = python.display();
    let Some(said) = tool::says(&python, &["-c", LOOK]).await else {
        bail!("{shown} does not run: make the virtual environment again\n  {}", made_by("python3", from));
    };
    let mut words = said.split_whitespace();
    let version = words.next().and_then(|word| word.parse().ok()).zip(words.next().and_then(|word| word.parse().ok()));
    if version.is_none_or(|version| version < OLDEST) {
        let have = version.map_or_else(|| "another".into(), |(major, minor): (u32, u32)| format!("{major}.{minor}"));
        let newer = newest().await.unwrap_or_else(|| "python3.11".into());
        let again = made_by(&newer, from);
        bail!("{shown} is Python {have}, and agents need {}.{} or later:\n  {again}", OLDEST.0, OLDEST.1);
    }
    if words.next() != Some("True") {
        bail!("mcp-mesh is not installed in the virtual environment of {shown}:\n  {shown} -m pip install mcp-mesh");
    }
    Ok(vec![shown.to_string(), script.to_string_lossy().into_owned()])
}

/// Compiles what is beside `script`.
///
/// # Errors
/// What the compiler said.
pub(super) async fn check(script: &Path, from: &Path) -> anyhow::Result<()> {
    let python = interpreter(script, from).await?;
    let folder = script.parent().unwrap_or(from);
    let leave_out = r"/(\.[^/]*|venv|node_modules|site-packages)/";
    let arguments = ["-m", "compileall", "-q", "-r", "2", "-x", leave_out, "."];
    let output = tool::run(&python, &arguments, folder, COMPILING).await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Err(anyhow!("{}", said.trim()))
}

/// The Python of the virtual environment: that of the folder meshctl is called in, else the nearest one above the script,
/// else the one that is active.
async fn interpreter(script: &Path, from: &Path) -> anyhow::Result<PathBuf> {
    let above = script.ancestors().skip(1).map(|folder| folder.join(".venv"));
    let active = env::var_os("VIRTUAL_ENV").filter(|active| !active.is_empty()).map(PathBuf::from);
    let environments = [from.join(".venv")].into_iter().chain(above).chain(active);
    let found = environments.map(|environment| environment.join("bin/python")).find(|python| python.exists());
    match (found, newest().await) {
        (Some(python), _) => Ok(python),
        (None, Some(python)) => bail!(
            "{} is a Python agent, and there is no virtual environment (.venv) in {}:\n  {}",
            script.display(),
            from.display(),
            made_by(&python, from)
        ),
        (None, None) => bail!(
            "{} is a Python agent, and Python {}.{} or later is not installed:\n  apt-get install python3 python3-venv\n  {}",
            script.display(),
            OLDEST.0,
            OLDEST.1,
            made_by("python3", from)
        ),
    }
}

/// How a virtual environment comes to be.
fn made_by(python: &str, from: &Path) -> String {
    format!("cd {} && {python} -m venv --clear .venv && .venv/bin/pip install mcp-mesh", from.display())
}

/// The name of a Python on the path that is new enough.
async fn newest() -> Option<String> {
    for name in ["python3", "python3.11", "python3.12", "python3.13", "python3.14", "python"] {
        let Some(python) = tool::find(name) else { continue };
        let said = tool::says(&python, &["-c", "import sys; print(*sys.version_info[:2])"]).await.unwrap_or_default();
        let mut numbers = said.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
        if numbers.next().zip(numbers.next()).is_some_and(|version| version >= OLDEST) {
            return Some(name.to_owned());
        }
    }
    None
}
