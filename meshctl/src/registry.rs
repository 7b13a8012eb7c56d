//! The registry API of a seed, as agents of other languages use it: where it is, and who has registered there.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::client::{http_client, reason};
use crate::home::Home;
use crate::seed;

/// How often it is asked whether it is there.
const LOOK: Duration = Duration::from_millis(50);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// The variable with which an agent is told where it is.
pub(crate) const URL: &str = "MCP_MESH_REGISTRY_URL";

/// The same in parts.
const HOST: &str = "MCP_MESH_REGISTRY_HOST";
const PORT: &str = "MCP_MESH_REGISTRY_PORT";

/// Which registry is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registry {
    /// That of the seed of this machine; at this port, if one was named.
    Here {
        /// The port.
        port: Option<u16>,
    },
    /// The one at this URL.
    At(String),
}

/// An agent as `GET /agents` tells of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Registered {
    agent_type: String,
    endpoint: String,
    status: String,
}

#[derive(Deserialize)]
struct Agents {
    agents: Option<Vec<Registered>>,
}

impl Registry {
    /// Its URL, once it answers there, which it gets `patience` for.
    ///
    /// # Errors
    /// When it does not answer, with what to do.
    pub(crate) async fn url(&self, home: &Home, patience: Duration) -> anyhow::Result<String> {
        let (url, advice) = match self {
            Self::At(url) => (url.clone(), "start a seed there, or check --registry-url".to_owned()),
            Self::Here { port } => {
                let running: Vec<String> = seed::running(home).into_iter().filter_map(|seed| seed.http_url).collect();
                let is_at = |url: &&String, port: u16| url.ends_with(&format!(":{port}"));
                match (port, running.first()) {
                    (Some(port), _) if let Some(url) = running.iter().find(|url| is_at(url, *port)) => {
                        (url.clone(), "see meshctl logs seed".to_owned())
                    }
                    (Some(port), Some(other)) => (
                        format!("http://127.0.0.1:{port}"),
                        format!(
                            "the seed of this home is at {other}: leave the port out, or stop that one (meshctl stop)"
                        ),
                    ),
                    (None, Some(url)) => (url.clone(), "see meshctl logs seed".to_owned()),
                    (port, None) => (
                        format!("http://127.0.0.1:{}", port.unwrap_or(mesh_node::config::SEED_HTTP_PORT)),
                        "say where it is: --registry-url".to_owned(),
                    ),
                }
            }
        };
        // A port that nobody listens on needs no patience: our own seed serves before it is told to be there.
        let patience = if matches!(self, Self::At(_)) { ANSWER.min(patience) } else { patience };
        let Err(error) = answers(&url, patience).await else { return Ok(url) };
        bail!("no registry answers at {url} ({error:#}); {advice}")
    }
}

/// How an agent is told of the registry at `url`.
pub(crate) fn variables(url: &str) -> Vec<(&'static str, String)> {
    let mut set = vec![(URL, url.to_owned())];
    if let Ok(parsed) = reqwest::Url::parse(url)
        && let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default())
    {
        set.extend([(HOST, host.to_owned()), (PORT, port.to_string())]);
    }
    set
}

/// The agents that are registered with the registry at `url`.
///
/// # Errors
/// When it cannot be asked.
pub(crate) async fn agents(url: &str) -> anyhow::Result<Vec<Registered>> {
    let response = http_client(url, false)?.get(format!("{url}/agents")).timeout(ANSWER).send().await?;
    Ok(response.error_for_status()?.json::<Agents>().await.context("no list of agents")?.agents.unwrap_or_default())
}

impl Registered {
    /// Whether it can be called at one of `ports`. An agent that only asks others tells no port that means anything.
    pub(crate) fn is_at(&self, ports: &[u16]) -> bool {
        let port = reqwest::Url::parse(&self.endpoint).ok().and_then(|url| url.port());
        self.status == "healthy"
            && (port.is_some_and(|port| ports.contains(&port)) || matches!(&*self.agent_type, "api" | "a2a"))
    }
}

async fn answers(url: &str, patience: Duration) -> anyhow::Result<()> {
    let client = http_client(url, false)?;
    let deadline = Instant::now() + patience;
    loop {
        let error = match client.get(format!("{url}/health")).timeout(ANSWER).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => anyhow::anyhow!("it answers {}", response.status()),
            Err(error) => anyhow::anyhow!(reason(&error)),
        };
        if Instant::now() >= deadline {
            return Err(error);
        }
        sleep(LOOK).await;
    }
}
