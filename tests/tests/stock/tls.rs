//! Stock agents and ours in one mesh whose HTTP is over TLS.

use std::path::Path;
use std::process::Command;

use mesh_node::tls::authority::{Authority, Files, Owner};
use mesh_tests::lab::eventually;
use serde_json::{Value, json};

use crate::scene::Scene;

/// Starts a stock pair and an agent of ours, and has all of them call each other.
async fn call_each_other(scene: &Scene, flags: &[&str]) {
    let (dates, visitor) = (scene.agent("dates"), scene.agent("visitor"));
    let ours = scene.program("hello-world");
    let agents = [&dates, &visitor, ours.get_program().to_str().unwrap()];
    scene.says(&[&["start", "-d"], flags, &agents].concat());
    scene.says(&["wait", "--timeout", "60", "date_service", "greeting", "visit"]);
    assert!(scene.nodes().iter().all(|node| node.http_url.as_ref().unwrap().starts_with("https://")));
    // A stock consumer hears of providers with its next heartbeat.
    let visited = eventually("everybody knows everybody", || async {
        let said: Value = serde_json::from_str(&scene.says(&["call", "visit", r#"{"name":"Ada"}"#])).ok()?;
        let said = said["structuredContent"].as_object()?.clone();
        said.values().all(|said| !said.is_null()).then_some(said)
    });
    let visited = visited.await;
    assert_eq!([&visited["stock"], &visited["ours"]], ["2026-11-21", "Hello, Ada! It is 2026-11-21."]);
    let listed: Value = serde_json::from_str(&scene.says(&["list", "--json"])).unwrap();
    let endpoints = listed["agents"].as_array().unwrap().iter().map(|agent| agent["endpoint"].as_str().unwrap());
    let endpoints: Vec<&str> = endpoints.collect();
    assert!(endpoints.len() == 3 && endpoints.iter().all(|url| url.starts_with("https://")), "{endpoints:?}");
}

/// What curl is answered at the seed, with a certificate or without.
fn ask(scene: &Scene, path: &str, own: Option<&Files>) -> (String, Value) {
    let seed = scene.nodes().into_iter().find(|node| node.role == "seed").unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-s", "-w", "\n%{http_code}", "--cacert"]).arg(scene.home().join("tls/ca.pem"));
    if let Some(files) = own {
        curl.arg("--cert").arg(&files.cert).arg("--key").arg(&files.key);
    }
    let output = curl.arg(format!("{}{path}", seed.http_url.unwrap())).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

fn issued(directory: &Path) -> Files {
    Authority::open(directory).unwrap().issue(Owner::Agent("curl"), None).unwrap()
}

/// Whom the seed lets in: those with its own CA's certificate, nobody with another one's, and `unnamed` for those with none.
fn lets_in(scene: &Scene, unnamed: &str) {
    let elsewhere = tempfile::tempdir().unwrap();
    let (own, foreign) = (issued(&scene.home().join("tls")), issued(elsewhere.path()));
    assert_eq!(ask(scene, "/health", Some(&own)).0, "200");
    let (status, said) = ask(scene, "/health", Some(&foreign));
    assert_eq!((&*status, &said["error"]), ("403", &json!("untrusted certificate")), "{said}");
    let (status, said) = ask(scene, "/agents", None);
    assert_eq!(status, unnamed, "{said}");
    if unnamed == "403" {
        assert_eq!(said, json!({"error": "client certificate required"}));
    }
}

#[tokio::test]
async fn a_mesh_that_is_started_with_tls_auto_speaks_tls_everywhere() {
    let scene = Scene::new();
    call_each_other(&scene, &["--tls-auto"]).await;
    lets_in(&scene, "200");
    for name in ["ca", "ca-key", "local-dev/registry-cert", "local-dev/agents/dates-cert", "local-dev/agents/dates-key"]
    {
        assert!(scene.home().join(format!("tls/{name}.pem")).is_file(), "{name}");
    }
}

#[tokio::test]
async fn in_strict_mode_everybody_has_a_certificate() {
    let mut scene = Scene::new();
    scene.set("MCP_MESH_TLS_MODE", "strict");
    call_each_other(&scene, &[]).await;
    lets_in(&scene, "403");
}

#[test]
fn beside_a_seed_that_speaks_no_tls_nothing_is_started_with_it() {
    let scene = Scene::bare();
    scene.says(&["start", "-d", "--registry-only"]);
    let complained = scene.refuses(&["start", "-d", "--tls-auto", "x.py"]);
    assert!(complained.contains("speaks no TLS") && complained.contains("meshctl stop"), "{complained}");
}
