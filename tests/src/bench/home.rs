//! A home of processes of a bench.

use std::path::Path;

use anyhow::Result;
use mesh_node::runtime_file::{RuntimeFile, running};
use tempfile::TempDir;
use tokio::process::Command;

/// A home, away from whatever mesh the machine belongs to. It is gone with this handle.
#[derive(Debug)]
pub struct Home(TempDir);

impl Home {
    /// An empty one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Has a command run there, at free ports.
    pub fn settle(&self, command: &mut Command) {
        command.env("MCP_MESH_HOME", self.path());
        command.env("MESH_LISTEN", "127.0.0.1:0").env("MESH_HTTP_LISTEN", "127.0.0.1:0");
    }

    /// The node that runs there in the process `pid`, once it serves.
    pub fn node(&self, pid: u32) -> Option<RuntimeFile> {
        running(self.path()).into_iter().find(|node| node.pid == pid)
    }
}
