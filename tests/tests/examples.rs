//! The examples, run as their headers say.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use mesh_tests::lab::{Lab, Process, binaries, eventually};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Starts the examples called `names`, and waits for what they provide.
fn start(lab: &Lab, names: &[&str], capabilities: &[&str]) -> Vec<Process> {
    if lab.nodes().is_empty() {
        lab.succeed(&["start", "-d", "--registry-only"]);
    }
    let running = names.iter().map(|name| lab.start(&mut lab.program(name))).collect();
    lab.succeed(&[&["wait"], capabilities].concat());
    running
}

/// What `tool` gives back for `arguments`, once it gives back something that `suits`: who has just started may not know
/// everybody yet.
async fn call(lab: &Lab, tool: &str, arguments: &Value, suits: impl Fn(&Value) -> bool) -> Value {
    let suits = &suits;
    eventually(tool, || async {
        let said = lab.meshctl(&["call", tool, &arguments.to_string()]).stdout;
        let said: Value = serde_json::from_slice(&said).ok()?;
        let result = said["structuredContent"]["result"].clone();
        let result = if result.is_null() { said["structuredContent"].clone() } else { result };
        Some(result).filter(|result| !result.is_null() && suits(result))
    })
    .await
}

/// The URL of the agent called `name`, once it is there.
async fn url(lab: &Lab, name: &str) -> String {
    let found = || async { lab.nodes().into_iter().find(|node| node.name == name)?.http_url };
    eventually("the URL of an agent", found).await
}

async fn get(url: &str, session: &str) -> (u16, String) {
    // Another test of this process may have chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).header("x-session-id", session).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn monolith_is_one_process_and_two_agents() {
    let lab = Lab::new();
    let running = start(&lab, &["monolith"], &["greeting", "date_service"]);
    let said = call(&lab, "greet", &json!({"name": "Ada"}), |said| !said.to_string().contains("some day")).await;
    assert!(said.as_str().unwrap().starts_with("Hello, Ada! It is 20"), "{said}");
    let pids: BTreeSet<u32> = lab.nodes().iter().filter(|node| node.role != "seed").map(|node| node.pid).collect();
    assert_eq!(pids, [running[0].pid().as_raw().unsigned_abs()].into());
    let list = lab.succeed(&["list"]);
    assert!(list.contains("hello-world-") && list.contains("date-service-"), "{list}");
}

#[tokio::test]
async fn tags_choose_among_providers() {
    let lab = Lab::new();
    let _running = start(&lab, &["tags-providers", "tags-asker"], &["sum", "sums"]);
    let all = |sums: &Value| !sums["precise"].is_null() && !sums["old"].is_null();
    let sums = call(&lab, "ask", &json!({"numbers": [1.25, 2.5]}), all).await;
    assert_eq!(sums, json!({"preferred": "about 4", "precise": "exactly 3.75", "old": "about 4"}));
}

#[tokio::test]
async fn a_shopping_session_stays_with_the_cart_that_it_has() {
    let lab = Lab::new();
    let names = ["session-cart", "session-cart", "session-cart", "session-shop"];
    let _running = start(&lab, &names, &["cart"]);
    let shop = url(&lab, "session-shop").await;
    let buy = |item: &'static str| {
        let url = format!("{shop}/buy/{item}");
        async move { get(&url, "ada").await }
    };
    let (_, first) = eventually("the shop to find the carts", || async {
        Some(buy("apple").await).filter(|(status, _)| *status == 200)
    })
    .await;
    let first: Value = serde_json::from_str(&first).unwrap();
    for (count, item) in [(2, "pear"), (3, "plum")] {
        let (_, next) = buy(item).await;
        let next: Value = serde_json::from_str(&next).unwrap();
        assert_eq!(next["cart"]["replica"], first["cart"]["replica"]);
        assert_eq!(next["cart"]["items"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn a_story_is_read_as_it_is_told() {
    let lab = Lab::new();
    let _running = start(&lab, &["stream-teller", "stream-reader"], &["story", "story_length"]);
    assert_eq!(call(&lab, "count_words", &json!({}), |_| true).await, 16);
    let streamed = lab.succeed(&["call", "--stream", "tell", r#"{"pause":1}"#]);
    assert!(streamed.contains("Once"), "{streamed}");
    let (status, story) = get(&format!("{}/story", url(&lab, "stream-reader").await), "ada").await;
    assert_eq!(status, 200);
    assert!(
        story.starts_with("data: Once \n\ndata: upon ") && story.ends_with("data: it.\n\ndata: [DONE]\n\n"),
        "{story}"
    );
}

#[tokio::test]
async fn a_route_says_what_it_lacks_and_lists_no_capability() {
    let lab = Lab::new();
    lab.succeed(&["start", "-d", "--registry-only"]);
    let _api = lab.start(&mut lab.program("route-api"));
    let api = format!("{}/greet/Ada", url(&lab, "greeting-api").await);
    let (status, why) = eventually("the API to listen", || async { Some(get(&api, "ada").await) }).await;
    assert_eq!(status, 503, "{why}");
    assert!(why.contains(r#""error":"dependency_unavailable""#) && why.contains(r#""capability":"greeting""#), "{why}");
    let _greeter = start(&lab, &["hello-world"], &["greeting"]);
    let answered = || async { Some(get(&api, "ada").await).filter(|(status, _)| *status == 200) };
    let (_, greeting) = eventually("a greeting", answered).await;
    assert_eq!(greeting, r#"{"greeting":"Hello, Ada! It is some day."}"#);
    let listed: Value = serde_json::from_str(&lab.succeed(&["list", "--json"])).unwrap();
    let agents = listed["agents"].as_array().unwrap();
    let api = agents.iter().find(|agent| agent["name"] == "greeting-api").unwrap();
    assert_eq!(
        (&api["agent_type"], &api["tools"], &api["dependencies_total"]),
        (&json!("api"), &json!(null), &json!(1))
    );
}

#[tokio::test]
async fn work_goes_on_when_a_replica_is_killed() {
    let lab = Lab::new();
    let running = start(&lab, &["failover-worker", "failover-worker", "failover-boss"], &["square", "squares"]);
    let both = |done: &Value| done.as_object().is_some_and(|done| done.len() == 2);
    call(&lab, "squares", &json!({"count": 200}), both).await;
    running[0].signal(Signal::SIGKILL);
    let done = call(&lab, "squares", &json!({"count": 200}), |done| done.is_object()).await;
    let survivor = format!("process {}", running[1].pid());
    assert_eq!(done[&survivor], 200, "{done}");
}

#[test]
fn replicas_share_their_agents_name_whatever_their_processes_are_called() {
    let lab = Lab::new();
    let date = lab.program("hello-date").get_program().to_string_lossy().into_owned();
    lab.succeed(&["start", "-d", "--wait", "--replicas", "2", &date]);
    lab.succeed(&["start", "-d", "--wait", "--name", "another", &date]);
    let listed: Value = serde_json::from_str(&lab.succeed(&["list", "--json"])).unwrap();
    let agents = listed["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 3, "{listed}");
    for agent in agents {
        assert_eq!(agent["name"], "date-service");
        assert!(agent["id"].as_str().unwrap().starts_with("date-service-"), "{agent}");
    }
    lab.succeed(&["stop"]);
}

/// Starts the agents called `names` of the program called `team`, each in a process, and a model.
fn start_team(lab: &Lab, team: &str, names: &[&str], capability: &str) -> Vec<Process> {
    lab.succeed(&["start", "-d", "--wait", "provider", "--model", "local"]);
    let running = names.iter().map(|name| lab.start(lab.program(team).arg(name))).collect();
    lab.succeed(&["wait", capability]);
    running
}

#[tokio::test]
async fn a_team_develops_a_script_and_what_it_runs_can_do_no_harm() {
    let mut lab = Lab::new();
    let workspace = lab.home().join("workspace");
    lab.set("DEV_TEAM_WORKSPACE", workspace.to_str().unwrap());
    let names = ["intent-agent", "developer-agent", "qa-agent", "executor-agent"];
    let _running = start_team(&lab, "dev-team", &names, "software_request");
    // QA may not know the executor yet, and then nothing passes.
    let passed = |outcome: &Value| outcome["verdict"]["passed"] == true && outcome["rounds"] == 1;
    let outcome = call(&lab, "develop_script", &json!({"wish": "A script that greets"}), passed).await;
    assert!(outcome["verdict"]["output"].as_str().unwrap().contains("Hello from a script"), "{outcome}");
    assert!(workspace.join(outcome["task"]["path"].as_str().unwrap()).exists(), "{outcome}");

    // What a model might come up with: each of these works outside of the workspace when nothing is in its way.
    let outside = lab.home().join("outside");
    let secret = lab.home().join("config.toml");
    let secret = if secret.exists() { secret } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml") };
    let harm = [
        format!("echo harm > {}", outside.display()),
        format!("cat {}", secret.display()),
        format!("ln -s {} link && cat link", secret.display()),
        format!("kill -0 {}", std::process::id()),
    ];
    for (number, harm) in harm.iter().enumerate() {
        let path = format!("harm-{number}.sh");
        call(&lab, "write_file", &json!({"path": path, "content": harm}), |_| true).await;
        let run = call(&lab, "run_script", &json!({"path": path}), |_| true).await;
        assert_eq!(run["passed"], false, "{harm}: {run}");
    }
    assert!(!outside.exists());
    let away = lab.meshctl(&["call", "write_file", r#"{"path":"../outside","content":"harm"}"#]);
    let away: Value = serde_json::from_slice(&away.stdout).unwrap();
    assert!(away["isError"] == true && !outside.exists(), "{away}");
    let endless = json!({"path": "endless.sh", "content": "while :; do echo y; done"});
    call(&lab, "write_file", &endless, |_| true).await;
    let run = call(&lab, "run_script", &json!({"path": "endless.sh"}), |_| true).await;
    assert!(run["passed"] == false && run["output"].as_str().unwrap().len() <= 64 << 10, "{run}");
}

#[tokio::test]
async fn six_agents_report_on_an_account() {
    let lab = Lab::new();
    let names =
        ["market-data-agent", "news-agent", "portfolio-agent", "risk-agent", "compliance-agent", "report-agent"];
    let _running = start_team(&lab, "finance", &names, "account_report");
    let report = async |account: &str, suits: fn(&Value) -> bool| {
        call(&lab, "write_report", &json!({ "account": account }), suits).await
    };
    // Whoever reports may not know all of the others yet.
    let is_whole = |report: &Value| {
        report["compliant"] == true && [&report["total_usd"], &report["worst_day_usd"]].iter().all(|usd| **usd != 1.0)
    };
    let prudent = report("prudent", is_whole).await;
    let total = prudent["total_usd"].as_f64().unwrap();
    assert!((total - 12_850.0).abs() < 1e-6, "{prudent}");
    let bold = report("bold", |_| true).await;
    assert_eq!((&bold["account"], &bold["compliant"]), (&json!("bold"), &json!(false)), "{bold}");
    let tree = lab.succeed(&["trace", "--last"]);
    for tool in ["get_portfolio", "assess_risk", "check_compliance", "get_news", "get_quote"] {
        assert!(tree.contains(tool), "{tree}");
    }
}

#[test]
fn the_demo_plans_three_trips_and_loses_none() {
    let lab = Lab::new();
    let mut demo = lab.command(mesh_tests::tree::root().join("examples/demo"));
    let demo = demo.arg(binaries()).env_remove("REAL").output().unwrap();
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{said}\n{}", String::from_utf8_lossy(&demo.stderr));
    assert!(said.contains("└─ POST:/plan (gateway)"), "{said}");
    let row = |plan: &str| said.lines().find(|line| line.starts_with(plan)).unwrap_or_default();
    // The planner prefers one of the two; the specialists take either.
    assert!(row("with both models").contains("local/claude"), "{said}");
    let without = row("right after the kill");
    assert!(without.contains("local/openai") && !without.contains("local/claude"), "{said}");
    assert!(row("with both again").contains("local/claude"), "{said}");
}
