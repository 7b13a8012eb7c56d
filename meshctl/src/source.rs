//! What `start` is given: a crate folder, a program, a project of another language, a command, or a model; and what to
//! execute for it.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::cargo::{self, Crate};
use crate::project::{ENTRY_POINTS, Project};

/// Where a program comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// A crate that is built first.
    Crate(Crate),
    /// An executable file.
    Program(PathBuf),
    /// An agent in another language.
    Project(Project),
    /// A command with its arguments, as it was typed.
    Command(Vec<String>),
    /// An MCP server: what `meshctl wrap` is to be told.
    Wrapped(Vec<String>),
    /// A model: what `meshctl provider` is to be told.
    Provided {
        /// The agent's name, which is among the words.
        name: String,
        /// The words.
        words: Vec<String>,
    },
}

impl Source {
    /// What `argument` (`folder`, `folder:binary`, or the path of a file) means.
    ///
    /// # Errors
    /// When there is nothing of that kind, in words that say what was looked for.
    pub(crate) async fn of(argument: &str) -> anyhow::Result<Self> {
        let path = Path::new(argument);
        if path.is_dir() {
            return Self::of_folder(path).await;
        }
        if let Some((folder, binary)) = argument.rsplit_once(':')
            && !path.exists()
            && Path::new(folder).is_dir()
        {
            return Ok(Self::Crate(cargo::find(Path::new(folder), Some(binary)).await?));
        }
        let Ok(metadata) = fs::metadata(path) else { bail!("path does not exist: {argument}") };
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            bail!("{argument} is a YAML file, which cannot be started: name folders, scripts and programs");
        }
        if let Some(project) = Project::of_file(path)? {
            return Ok(Self::Project(project));
        }
        if metadata.permissions().mode() & 0o111 == 0 {
            bail!(
                "no entry point found: {argument} is not executable; run it with what can: meshctl start -- <program> {argument}"
            );
        }
        let path = fs::canonicalize(path).with_context(|| format!("cannot use {argument}"))?;
        Ok(Self::Program(path))
    }

    async fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        if folder.join("Cargo.toml").exists() {
            return Ok(Self::Crate(cargo::find(folder, None).await?));
        }
        if let Some(project) = Project::in_folder(folder)? {
            return Ok(Self::Project(project));
        }
        let shown = folder.display();
        bail!(
            "no entry point found in {shown}: looked for Cargo.toml, {}; anything else is started as a command: \
             meshctl start --working-dir {shown} -- <command>",
            ENTRY_POINTS.join(", ")
        )
    }

    /// The name of a process started from it, when none is given.
    ///
    /// # Errors
    /// When it has no name of its own.
    pub(crate) fn name(&self) -> anyhow::Result<String> {
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = match self {
            Self::Crate(it) => Some(it.binary.clone()),
            Self::Program(path) => stem(path),
            Self::Project(it) => it.name(),
            Self::Command(words) => words.first().and_then(|word| stem(Path::new(word))),
            Self::Wrapped(_) => None,
            Self::Provided { name, .. } => Some(name.clone()),
        };
        name.context("this has no name: give --name")
    }

    /// The folder it runs in when none is given: that of the crate or project, for others where meshctl was called.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Crate(it) => Some(it.folder.clone()),
            Self::Project(it) => Some(it.folder().to_owned()),
            Self::Program(_) | Self::Command(_) | Self::Wrapped(_) | Self::Provided { .. } => None,
        }
    }

    /// Whether a process started from it can be expected to be an agent of ours. Scripts and commands may be anything.
    pub(crate) fn is_likely_ours(&self) -> bool {
        match self {
            Self::Crate(_) | Self::Wrapped(_) | Self::Provided { .. } => true,
            Self::Program(path) => !is_script(path),
            Self::Project(_) | Self::Command(_) => false,
        }
    }

    /// The project, if it is an agent of another language, which finds the mesh by its registry.
    pub(crate) const fn project(&self) -> Option<&Project> {
        match self {
            Self::Project(it) => Some(it),
            _ => None,
        }
    }

    /// Builds what has to be built, and looks for what it takes to run it; `progress` hears what the compiler is at. The
    /// program and its arguments.
    ///
    /// # Errors
    /// What the compiler said, that the program is gone, or what is missing.
    pub(crate) async fn prepare(&self, progress: impl FnMut(&str)) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Crate(it) => Ok(vec![text(&cargo::build(it, progress).await?)]),
            Self::Program(path) if path.exists() => Ok(vec![text(path)]),
            Self::Program(path) => bail!("path does not exist: {}", path.display()),
            Self::Project(it) => it.prepare().await,
            Self::Command(words) => Ok(words.clone()),
            Self::Wrapped(words) => role("wrap", words),
            Self::Provided { words, .. } => role("provider", words),
        }
    }
}

/// This program as what runs `role`.
fn role(role: &str, words: &[String]) -> anyhow::Result<Vec<String>> {
    let meshctl = env::current_exe().context("cannot tell which program this is")?;
    Ok([text(&meshctl), role.to_owned()].into_iter().chain(words.iter().cloned()).collect())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}
