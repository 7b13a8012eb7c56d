//! Who called whom, asked of a mesh of real processes, one of which is no more.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use mesh_tests::lab::{Lab, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The spans of the last trace, asked of the node at `url`, as (operation, agent's name) by their ids, and their parents.
struct Trace {
    spans: BTreeMap<String, (String, String)>,
    parents: BTreeMap<String, Option<String>>,
}

impl Trace {
    fn last(lab: &Lab, url: &str) -> Self {
        let text = lab.succeed(&["trace", "--last", "--json", "--node", url]);
        let trace: Value = serde_json::from_str(&text).unwrap();
        let said = |span: &Value, key: &str| span[key].as_str().map(str::to_owned);
        let all = trace["Spans"].as_array().unwrap();
        let spans = all.iter().map(|span| {
            (said(span, "SpanID").unwrap(), (said(span, "Operation").unwrap(), said(span, "AgentName").unwrap()))
        });
        let parents = all.iter().map(|span| (said(span, "SpanID").unwrap(), said(span, "ParentSpan")));
        Self { spans: spans.collect(), parents: parents.collect() }
    }

    /// The way from the root to the span of `operation`: operations with who did them.
    fn way_to(&self, operation: &str) -> Vec<String> {
        let found = self.spans.iter().find(|(_, (name, _))| name.starts_with(operation));
        let mut at = found.map(|(id, _)| id.clone());
        let mut way = Vec::new();
        while let Some((operation, agent)) = at.as_ref().and_then(|id| self.spans.get(id)) {
            let operation = operation.split_whitespace().next().unwrap();
            way.insert(0, format!("{agent}:{operation}"));
            at = self.parents[at.as_ref().unwrap()].clone();
        }
        way
    }
}

#[tokio::test]
async fn a_trace_shows_the_whole_way_also_when_an_agent_on_it_is_gone() {
    let lab = Lab::new();
    lab.succeed(&["start", "-d", "--registry-only"]);
    let _greeter = lab.start(&mut lab.program("hello-world"));
    let date = lab.start(&mut lab.program("hello-date"));
    let _bystander = lab.start(&mut lab.program("failover-worker"));
    lab.succeed(&["wait", "greeting", "date_service", "square"]);
    let nodes = lab.nodes();
    let bystander = nodes.iter().find(|node| node.name == "failover-worker").and_then(|node| node.http_url.clone());
    let url = bystander.unwrap();

    // The greeter may be the last to hear of the date.
    eventually("a greeting with a date", || async {
        let said = lab.succeed(&["call", "hello-world:greet", r#"{"name":"Ada"}"#, "--node", &url]);
        (!said.contains("some day")).then_some(())
    })
    .await;
    // A call and its attempt are wrappers where something hangs from them.
    let (worker, greeter) = ("failover-worker:proxy_call_wrapper", "hello-world:proxy_call_wrapper");
    let call = [worker, worker, "hello-world:greet", greeter];
    for node in &nodes {
        let way = Trace::last(&lab, node.http_url.as_deref().unwrap()).way_to("get_date");
        assert_eq!(way, [&call[..], &[greeter, "date-service:get_date"]].concat(), "asked of {}", node.name);
    }
    let tree = lab.succeed(&["trace", "--last", "--node", &url]);
    assert!(tree.contains("└─ greet (hello-world)") && tree.contains("   └─ get_date (date-service)"), "{tree}");

    // The seed writes the same, and where agents are, too.
    let told: Value = serde_json::from_str(&lab.succeed(&["trace", "--last", "--json", "--node", &url])).unwrap();
    let seed = nodes.iter().find(|node| node.role == "seed").and_then(|node| node.http_url.clone()).unwrap();
    let path = format!("{seed}/trace/{}", told["TraceID"].as_str().unwrap());
    // Who has chosen before has chosen well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut by_seed: Value = reqwest::get(path).await.unwrap().json().await.unwrap();
    for span in by_seed["Spans"].as_array_mut().unwrap() {
        assert_eq!(span["IPAddress"].take(), "127.0.0.1");
        span["IPAddress"] = "".into();
    }
    assert_eq!(by_seed, told);

    date.signal(Signal::SIGKILL);
    let trace = Trace::last(&lab, &url);
    assert!(trace.way_to("get_date").is_empty());
    let way = trace.way_to("date-service-");
    assert!(way[..4] == call && way.len() == 5 && way[4].starts_with("hello-world:date-service-"), "{way:?}");
    let tree = lab.succeed(&["trace", "--last", "--node", &url]);
    assert!(tree.contains("└─ greet (hello-world)") && tree.contains("   └─ get_date at date-service-"), "{tree}");
    assert!(tree.contains("tells nothing of what it ran"), "{tree}");
}
