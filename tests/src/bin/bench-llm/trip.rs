//! TripPlanner in processes, and its gateway's API.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mesh_tests::bench::home::Home;
use mesh_tests::bench::process::{Process, sibling};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// The agent whose model the planner prefers.
pub(crate) const PREFERRED: &str = "claude-provider";

/// All of them.
pub(crate) const AGENTS: [&str; 13] = [
    "flight-agent",
    "hotel-agent",
    "weather-agent",
    "poi-agent",
    "user-prefs-agent",
    PREFERRED,
    "openai-provider",
    "chat-history-agent",
    "budget-analyst",
    "adventure-advisor",
    "logistics-planner",
    "planner-agent",
    "gateway",
];

/// What a whole plan has: a flight, and what each specialist says.
const WHOLE: [&str; 4] = ["MH007", "Budget Analysis", "Adventure Recommendations", "Logistics Plan"];

/// How long agents may take to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Agents of TripPlanner that run.
pub(crate) struct Trip {
    home: Home,
    /// They, in the order in which they were named.
    pub(crate) agents: Vec<Process>,
    /// Their gateway.
    pub(crate) gateway: Gateway,
}

/// Where plans are made.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    client: reqwest::Client,
    url: String,
}

impl Trip {
    /// Starts the agents called `names`, the gateway among them.
    pub(crate) async fn start(names: &[&str]) -> Result<Self> {
        let home = Home::new()?;
        let agents = names.iter().map(|name| launch(&home, name)).collect::<Result<Vec<Process>>>()?;
        let place = names.iter().position(|name| *name == "gateway").context("a gateway is among them")?;
        let url = url(&home, &agents[place]).await?;
        let gateway = Gateway { client: reqwest::Client::new(), url };
        Ok(Self { home, agents, gateway })
    }

    /// All thirteen, once they make whole plans.
    pub(crate) async fn complete() -> Result<Self> {
        let trip = Self::start(&AGENTS).await?;
        let whole = async {
            while !trip.gateway.plan().await.is_ok_and(|plan| WHOLE.iter().all(|part| plan.contains(part))) {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, whole).await.context("thirteen agents made no whole plan within a minute")?;
        Ok(trip)
    }

    /// Starts one more agent.
    pub(crate) fn launch(&self, name: &str) -> Result<Process> {
        launch(&self.home, name)
    }

    /// Has a command run among them.
    pub(crate) fn settle(&self, command: &mut Command) {
        self.home.settle(command);
    }

    /// Waits until the model of `provider` was asked for an answer.
    pub(crate) async fn asked(&self, provider: &Process) -> Result<()> {
        let metrics = format!("{}/metrics", url(&self.home, provider).await?);
        let asked = async {
            while !self.gateway.client.get(&metrics).send().await?.text().await?.contains("\nmesh_llm_calls_total{") {
                sleep(LOOK_AGAIN).await;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, asked).await.context("a provider that came back was asked nothing for a minute")?
    }
}

impl Gateway {
    /// Plans a trip: the plan.
    pub(crate) async fn plan(&self) -> Result<String> {
        let answer = self.client.post(format!("{}/plan", self.url)).json(&wish()).send().await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body)?;
        let plan = answer["result"].as_str().context("a plan is a text")?;
        ensure!(plan.contains(WHOLE[0]), "a plan without a flight: {plan}");
        Ok(plan.to_owned())
    }

    /// The same, word by word.
    pub(crate) async fn stream(&self) -> Result<reqwest::Response> {
        let answer = self.client.post(format!("{}/plan/stream", self.url)).json(&wish()).send().await?;
        Ok(answer.error_for_status()?)
    }
}

fn wish() -> Value {
    json!({ "destination": "Kyoto", "dates": "June 1-5, 2026", "budget": "$2000" })
}

fn launch(home: &Home, name: &str) -> Result<Process> {
    // One program is built faster than thirteen; each process of it is one agent.
    let mut command = Command::new(sibling("trip-planner")?);
    command.arg(name);
    home.settle(&mut command);
    command.env("TRIP_PLANNER_MODEL", "local").env_remove("REDIS_URL").env_remove("REDIS_HOST").stderr(Stdio::null());
    Process::start(command)
}

async fn url(home: &Home, agent: &Process) -> Result<String> {
    let pid = agent.pid().context("an agent has ended by itself")?;
    let found = async {
        loop {
            if let Some(url) = home.node(pid).and_then(|node| node.http_url) {
                return url;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, found).await.context("an agent did not serve within a minute")
}
