//! Commands and addresses that are MCP servers and no agents: `start` runs each behind `meshctl wrap`, which is one.

use anyhow::bail;
use clap::Args;

use crate::source::Source;

/// What makes the command an MCP server.
#[derive(Debug, Args)]
pub(crate) struct Wrapped {
    /// The command behind `--` is an MCP server that speaks over its standard streams: let it join as an agent.
    #[arg(long)]
    pub(crate) wrap: bool,
    /// The same, and all its tools provide this capability. Default: each provides one that is called like itself.
    #[arg(long, value_name = "NAME")]
    pub(crate) capability: Option<String>,
    /// The same, and all its tools have these tags.
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// The server behind an URL, which `join` sets.
    #[arg(skip)]
    pub(crate) remote: Option<Remote>,
}

/// An MCP server that somebody else runs.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Its endpoint.
    pub(crate) url: String,
    /// What goes with every request, as `Name: value`.
    pub(crate) headers: Vec<String>,
}

impl Wrapped {
    /// What to start for `command` as the agent called `name`.
    ///
    /// # Errors
    /// When there is no server, or no name for it.
    pub(crate) fn source(&self, command: &[String], name: Option<&str>) -> anyhow::Result<Option<Source>> {
        let is_wanted = self.wrap || self.capability.is_some() || !self.tags.is_empty() || self.remote.is_some();
        if !is_wanted {
            return Ok((!command.is_empty()).then(|| Source::Command(command.to_vec())));
        }
        let Some(name) = name else { bail!("say what to call the MCP server in the mesh: --name") };
        if command.is_empty() == self.remote.is_none() {
            bail!("--capability, --tags and --wrap are about one MCP server: give its command behind `--`");
        }
        let mut words = vec!["--name".to_owned(), name.to_owned()];
        let mut flag = |flag: &str, value: &str| words.push(format!("--{flag}={value}"));
        if let Some(capability) = &self.capability {
            flag("capability", capability);
        }
        for tag in &self.tags {
            flag("tags", tag);
        }
        if let Some(remote) = &self.remote {
            flag("url", &remote.url);
            for header in &remote.headers {
                flag("header", header);
            }
        }
        if !command.is_empty() {
            words.push("--".to_owned());
            words.extend(command.iter().cloned());
        }
        Ok(Some(Source::Wrapped(words)))
    }
}
