//! Synthetic agents: three tools and three dependencies each, over fifty capabilities, beating as stock agents do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::seed::Seed;

const CAPABILITIES: usize = 50;

/// How often an agent says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// All agents that are there.
pub(crate) struct Crowd {
    client: Client,
    notes: Arc<Mutex<Notes>>,
    /// The youngest last.
    agents: Vec<(usize, AbortHandle)>,
    next: usize,
}

/// What is noted of all of them.
struct Notes {
    posts: usize,
    last_post: Instant,
    /// Milliseconds of each.
    post_times: Vec<f64>,
    head_times: Vec<f64>,
    failed: usize,
    /// Of how many dependencies each agent was told a provider.
    bound: BTreeMap<usize, usize>,
}

/// One agent.
struct Agent {
    number: usize,
    url: String,
    client: Client,
    notes: Arc<Mutex<Notes>>,
}

impl Crowd {
    /// Lets `count` agents arrive, evenly within `time`.
    pub(crate) async fn arrive(seed: &Seed, count: usize, time: Duration) -> Self {
        let notes = Notes {
            posts: 0,
            last_post: Instant::now(),
            post_times: Vec::new(),
            head_times: Vec::new(),
            failed: 0,
            bound: BTreeMap::new(),
        };
        let client = Client::builder().pool_max_idle_per_host(512).timeout(Duration::from_secs(30)).build();
        let client = client.expect("a client that needs nothing of the system can be built");
        let mut crowd = Self { client, notes: Arc::new(Mutex::new(notes)), agents: Vec::new(), next: 0 };
        let begun = tokio::time::Instant::now();
        for number in 0..count {
            tokio::time::sleep_until(begun + time.mul_f64(number as f64 / count as f64)).await;
            crowd.add(seed);
        }
        crowd
    }

    /// The oldest leaves and a new one arrives.
    pub(crate) async fn leave_and_arrive(&mut self, seed: &Seed) {
        let (number, agent) = self.agents.remove(0);
        agent.abort();
        notes(&self.notes).bound.remove(&number);
        let gone = self.client.delete(format!("{}/agents/{}", seed.url, id(number))).send().await;
        if gone.is_err() {
            notes(&self.notes).failed += 1;
        }
        self.add(seed);
    }

    fn add(&mut self, seed: &Seed) {
        let (number, url) = (self.next, seed.url.clone());
        let agent = Agent { number, url, client: self.client.clone(), notes: Arc::clone(&self.notes) };
        self.agents.push((number, tokio::spawn(agent.live()).abort_handle()));
        self.next += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.agents.len()
    }

    /// Full registrations so far.
    pub(crate) fn posts(&self) -> usize {
        notes(&self.notes).posts
    }

    /// When the last one was answered.
    pub(crate) fn last_post(&self) -> Instant {
        notes(&self.notes).last_post
    }

    /// Whether every agent was told a provider of everything that it depends on.
    pub(crate) fn is_bound(&self) -> bool {
        let notes = notes(&self.notes);
        notes.bound.len() == self.agents.len() && notes.bound.values().all(|bound| *bound == 3)
    }

    /// How far it is, in words.
    pub(crate) fn state(&self) -> String {
        let notes = notes(&self.notes);
        let bound = notes.bound.values().filter(|bound| **bound == 3).count();
        format!("{} agents, {bound} bound, {} posts, {} failed", self.agents.len(), notes.posts, notes.failed)
    }

    pub(crate) fn forget_latencies(&self) {
        let mut notes = notes(&self.notes);
        notes.post_times.clear();
        notes.head_times.clear();
    }

    /// How many milliseconds registrations and heartbeats took.
    pub(crate) fn latencies(&self) -> (Vec<f64>, Vec<f64>) {
        let notes = notes(&self.notes);
        (notes.post_times.clone(), notes.head_times.clone())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.agents.iter().for_each(|(_, agent)| agent.abort());
    }
}

impl Agent {
    async fn live(self) {
        self.register().await;
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let begun = Instant::now();
            let answer = self.client.head(format!("{}/heartbeat/{}", self.url, id(self.number))).send().await;
            notes(&self.notes).head_times.push(ms(begun));
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => {}
                Ok(202 | 410) => self.register().await,
                Ok(_) | Err(_) => notes(&self.notes).failed += 1,
            }
        }
    }

    async fn register(&self) {
        let begun = Instant::now();
        let sent = self.client.post(format!("{}/heartbeat", self.url)).json(&registration(self.number)).send();
        let answer: Option<Value> = match sent.await {
            Ok(answer) => answer.json().await.ok(),
            Err(_) => None,
        };
        let mut notes = notes(&self.notes);
        notes.posts += 1;
        notes.last_post = Instant::now();
        notes.post_times.push(ms(begun));
        match answer.filter(|answer| answer["status"] == "success") {
            Some(answer) => {
                let bound = answer["dependencies_resolved"].as_object().into_iter().flatten();
                let bound = bound.filter(|(_, bound)| bound[0]["status"] == "available").count();
                notes.bound.insert(self.number, bound);
            }
            None => notes.failed += 1,
        }
    }
}

fn id(number: usize) -> String {
    format!("agent-{number:08x}")
}

fn registration(number: usize) -> Value {
    let tool = |nth: usize| {
        let capability = |offset: usize| format!("capability-{}", (number * 7 + nth * 17 + offset) % CAPABILITIES);
        json!({"function_name": format!("tool_{nth}"), "capability": capability(0), "version": "1.0.0",
            "tags": ["bench"], "description": "Does what benches want", "dependencies": [{"capability": capability(5)}],
            "inputSchema": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}})
    };
    // Nobody listens there, and nobody is to be watched: the registry alone is measured.
    json!({"agent_id": id(number), "name": "agent", "agent_type": "mcp_agent", "version": "1.0.0",
        "http_host": "127.0.0.1", "http_port": 9, "tools": (0..3).map(tool).collect::<Vec<_>>()})
}

fn notes(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
