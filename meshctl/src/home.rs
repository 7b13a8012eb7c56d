//! Where meshctl and the agents of one user keep their files: `~/.mcp-mesh`, or what `MCP_MESH_HOME` says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

/// The folder that everything below lives in.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The home of this user.
    ///
    /// # Errors
    /// When neither `MCP_MESH_HOME` nor `HOME` is set, or the current folder is gone.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        let told = env::var_os("MCP_MESH_HOME").filter(|told| !told.is_empty()).map(PathBuf::from);
        let root = match told {
            Some(told) => std::path::absolute(told).context("cannot tell where MCP_MESH_HOME is")?,
            None => env::home_dir().ok_or_else(|| anyhow!("neither MCP_MESH_HOME nor HOME is set"))?.join(".mcp-mesh"),
        };
        Ok(Self { root })
    }

    /// A home somewhere else.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `config.toml`.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Keys and identities of nodes.
    pub(crate) fn state(&self) -> PathBuf {
        mesh_node::config::state_dir(&self.root)
    }

    /// Run-time files, one for each node that runs, written by the node.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Log files.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// What meshctl knows of the processes it started.
    pub(crate) fn pids(&self) -> PathBuf {
        self.root.join("pids")
    }

    /// Held by whoever starts or stops processes.
    pub(crate) fn lifecycle_lock(&self) -> PathBuf {
        self.root.join("lifecycle.lock")
    }

    /// Makes `folder` below the home, and the home, readable by their owner only.
    ///
    /// # Errors
    /// When the disk refuses, in words that name the folder.
    pub(crate) fn make(&self, folder: &Path) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("cannot make {}; set MCP_MESH_HOME to a folder of yours", folder.display()))
    }
}
