//! Asking a node: which one, with which key, and whether it was really the one that answered.

mod exchange;
mod keys;
mod open;
mod target;
pub(crate) mod tls;

use std::path::PathBuf;
use std::time::Duration;

use self::exchange::Exchange;
pub(crate) use self::exchange::{Frames, reason};
pub(crate) use self::open::OpenClient;
pub(crate) use self::target::http_client;
use anyhow::{anyhow, bail};
use clap::Args;
use mesh_gossip::keyring::MeshKey;
use mesh_node::admin::wire::{Challenge, PREFIX};
use mesh_node::runtime_file;
use serde::de::DeserializeOwned;

use crate::duration;
use crate::home::Home;

/// How long a node may take to say that it is there, before the next one is asked.
const HELLO: Duration = Duration::from_secs(2);

/// Which node is asked, and how.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which node to ask")]
pub(crate) struct NodeArgs {
    /// The node to ask, as host:port or URL of its HTTP; without one, a node of this machine
    #[arg(long, value_name = "HOST:PORT", env = "MESH_NODE")]
    pub(crate) node: Option<String>,
    /// The mesh key, in base64 or hex; without one, mesh.key in the home
    #[arg(long, value_name = "KEY", env = "MESH_KEY", hide_env_values = true)]
    mesh_key: Option<String>,
    /// The same as --node, as the existing command line spells it; also MCP_MESH_REGISTRY_URL
    #[arg(long, value_name = "URL")]
    registry_url: Option<String>,
    /// The host of the node to ask
    #[arg(long, value_name = "HOST", env = "MCP_MESH_REGISTRY_HOST")]
    registry_host: Option<String>,
    /// The HTTP port of the node to ask
    #[arg(long, value_name = "PORT", env = "MCP_MESH_REGISTRY_PORT")]
    registry_port: Option<u16>,
    /// http, or https where the node, or something in front of it, speaks TLS
    #[arg(long, value_name = "SCHEME", default_value = "http", value_parser = ["http", "https"])]
    registry_scheme: String,
    /// Accept any certificate over https, as with MCP_MESH_TLS_SKIP_VERIFY; signed answers are checked either way
    #[arg(long)]
    insecure: bool,
    /// How long an answer may take [default: 10 for list, 30 otherwise]
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}

/// A node that answers, and how to sign what is asked of it.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: MeshKey,
    timeout: Duration,
    /// Brought by the last answer.
    next: Option<String>,
}

/// Nobody answers: what was tried, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoNode(String);

impl NodeArgs {
    /// A node that answers, with how long an answer may take when nothing else was said.
    ///
    /// # Errors
    /// [`NoNode`] when nobody answers; anything else is a mistake in what was said.
    pub(crate) async fn connect(&self, timeout: Duration) -> anyhow::Result<Client> {
        let home = Home::of_user()?;
        let timeout = self.timeout.unwrap_or(timeout);
        let named = self.named()?;
        let candidates = match &named {
            Some(url) => vec![url.clone()],
            None => runtime_file::running(home.root()).into_iter().filter_map(|node| node.http_url).collect(),
        };
        if candidates.is_empty() {
            let none =
                "no node runs on this machine: start one with `meshctl start`, or name one elsewhere with --node";
            return Err(NoNode(none.into()).into());
        }
        let keys = keys::held(self.mesh_key.as_deref(), &home)?;
        let mut failures = Vec::new();
        for base in candidates {
            let http = target::http_client(&base, self.insecure)?;
            match hello(&http, &base, HELLO.min(timeout)).await {
                Ok(challenge) => return keys::choose(http, base, keys, challenge, timeout),
                Err(error) => failures.push(format!("{base}: {error:#}")),
            }
        }
        let what = if named.is_some() { "check --node" } else { "see `meshctl logs`" };
        Err(NoNode(format!("no node answers ({}); {what}", failures.join("; "))).into())
    }

    /// The URL that was named, if any was.
    fn named(&self) -> anyhow::Result<Option<String>> {
        let told = self.node.as_ref().or(self.registry_url.as_ref()).filter(|told| !told.is_empty());
        if let Some(told) = told {
            return target::url(told, &self.registry_scheme).map(Some);
        }
        if self.registry_host.is_none() && self.registry_port.is_none() {
            let told = std::env::var("MCP_MESH_REGISTRY_URL").ok().filter(|told| !told.is_empty());
            return told.map(|told| target::url(&told, &self.registry_scheme)).transpose();
        }
        let host = self.registry_host.as_deref().unwrap_or("localhost");
        let port = self.registry_port.unwrap_or(mesh_node::config::SEED_HTTP_PORT);
        target::url(&format!("{host}:{port}"), &self.registry_scheme).map(Some)
    }
}

async fn hello(http: &reqwest::Client, base: &str, patience: Duration) -> anyhow::Result<Challenge> {
    let asked = http.get(format!("{base}{PREFIX}/challenge")).timeout(patience).send().await;
    let response = asked.map_err(|error| anyhow!(exchange::reason(&error)))?;
    if !response.status().is_success() {
        bail!("answers {} and is no node of ours", response.status());
    }
    response.json().await.map_err(|_| anyhow!("answers, and is no node of ours"))
}

impl Client {
    /// Where the node is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Asks `path` with `query`.
    ///
    /// # Errors
    /// `Refusal` when the node says no; else what went wrong.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        let query = target::query(query);
        let separator = if query.is_empty() { "" } else { "?" };
        let body = self.exchange("GET", format!("{PREFIX}/{path}{separator}{query}")).whole(|_| Vec::new()).await?;
        serde_json::from_slice(&body).map_err(|error| anyhow!("the node's answer makes no sense here: {error}"))
    }

    /// Hands `secret` to `path`, sealed.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post_sealed(&mut self, path: &str, secret: &[u8]) -> anyhow::Result<()> {
        self.exchange("POST", format!("{PREFIX}/{path}")).whole(|signer| signer.seal(secret)).await.map(|_| ())
    }

    /// Hands `body` to `path` and reads the answer frame by frame. There is no bound on how long the frames take.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post_framed(&mut self, path: &str, body: Vec<u8>) -> anyhow::Result<Frames> {
        self.exchange("POST", format!("{PREFIX}/{path}")).framed(body).await
    }

    fn exchange(&mut self, method: &'static str, target: String) -> Exchange<'_> {
        Exchange::new(self, method, target)
    }

    async fn nonce(&mut self) -> anyhow::Result<(String, Fresh)> {
        if let Some(nonce) = self.next.take() {
            return Ok((nonce, Fresh::Perhaps));
        }
        let challenge = hello(&self.http, &self.base, self.timeout).await;
        challenge.map(|challenge| (challenge.nonce, Fresh::Yes)).map_err(|error| error.context(self.base.clone()))
    }
}

/// Whether a nonce is as good as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Yes,
    /// It may have become too old, or the node was started again.
    Perhaps,
}

/// Where the mesh keys of this machine are.
pub(crate) fn key_file(home: &Home) -> PathBuf {
    home.state().join("mesh.key")
}
