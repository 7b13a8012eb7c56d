//! A mesh that the tests of one run share: five stock agents, and agents of ours among them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::scene::Scene;
use crate::vendor;

/// What can be asked for once all have registered, and know of each other.
const WANTED: [&str; 9] = [
    "date_service",
    "stock_greeting",
    "greeting",
    "office.notes",
    "thinking_with_ours",
    "thinking_with_stock",
    "neighbourly",
    "musing",
    "listening",
];

/// All of them, with the seed that is the registry of the stock ones. It ends with the last test that uses it.
pub(crate) struct Town(Scene);

impl Deref for Town {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.0
    }
}

impl Town {
    /// The one that other tests use at the moment, else a new one.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Town>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let town = Arc::new(Self::new());
            *shared = Arc::downgrade(&town);
            town
        })
    }

    fn new() -> Self {
        let mut scene = Scene::new();
        scene.set("MCP_MESH_PROPAGATE_HEADERS", "x-tenant");
        scene.set("VENDOR_URL", vendor::url());
        let stock = ["calendar", "greeter", "door", "models", "thinker"].map(|name| scene.agent(name));
        let ours = ["clerks", "hello-world", "neighbour"].map(|name| scene.program(name));
        let ours: Vec<&str> = ours.iter().map(|program| program.get_program().to_str().unwrap()).collect();
        let stock: Vec<&str> = stock.iter().map(String::as_str).collect();
        scene.says(&[&["start", "-d"], &stock[..], &ours[..]].concat());
        let model = ["start", "-d", "provider", "--model", "local", "--name", "our-model", "--tags", "ours"];
        scene.says(&model);
        scene.says(&[&["wait", "--timeout", "60"], &WANTED[..]].concat());
        let town = Self(scene);
        town.is_settled();
        town
    }

    /// Waits until every stock agent has the bindings it can have: agents hear of news with their next heartbeat.
    fn is_settled(&self) {
        let deadline = std::time::Instant::now() + mesh_tests::lab::PATIENCE;
        let wanted = [("greeter-", 12), ("api-", 2)];
        loop {
            // What they were told, which is not what they would be told now.
            let listed = self.get("/agents");
            let agents = listed["agents"].as_array().unwrap();
            let has = |(name, bound): &(&str, u64)| {
                let mut named = agents.iter().filter(|agent| agent["id"].as_str().unwrap().starts_with(name));
                named.any(|agent| agent["dependencies_resolved"] == *bound)
            };
            let thinker = agents.iter().find(|agent| agent["id"].as_str().unwrap().starts_with("thinker-"));
            let is_bound = |row: &Value| row["status"] == "available";
            let knows =
                |kind: &str| thinker.is_some_and(|it| it[kind].as_array().is_some_and(|it| it.iter().all(is_bound)));
            let can_think = knows("llm_tool_resolutions") && knows("llm_provider_resolutions");
            if wanted.iter().all(has) && can_think {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "not all that was wanted was bound:\n{listed:#}");
        }
    }

    /// What a tool gives back, as JSON.
    pub(crate) fn call(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[&["call"], arguments].concat());
        let result: Value = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{arguments:?}: {why}\n{said}"));
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{arguments:?}: {said}"));
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
    }

    /// What a command prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.says(arguments);
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("{arguments:?}: {why}\n{said}"))
    }

    /// Asks the registry itself.
    pub(crate) fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.seed_url());
        let output = self.command_of("curl", &["-sf", &url]);
        serde_json::from_str(&output).unwrap_or_else(|why| panic!("{path}: {why}\n{output}"))
    }

    /// What another program says.
    pub(crate) fn command_of(&self, program: &str, arguments: &[&str]) -> String {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}
