//! HTTP over TLS between real processes: two seeds that are one registry, certificates from files, and their renewal.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use mesh_node::tls::Clients;
use mesh_node::tls::authority::{Authority, Files, Owner};
use mesh_tests::lab::{Lab, eventually};
use reqwest::StatusCode;
use reqwest::tls::TlsInfo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// The URLs of all nodes of this role, once there are so many.
async fn urls(lab: &Lab, role: &str, count: usize) -> Vec<String> {
    let there = || async {
        let nodes = lab.nodes().into_iter().filter(|node| node.role == role);
        let urls: Vec<String> = nodes.filter_map(|node| node.http_url).collect();
        (urls.len() == count).then_some(urls)
    };
    eventually(role, there).await
}

/// The certificate that is shown at `url` to those who trust the CA in `directory`.
async fn shown(directory: &Path, url: &str) -> Vec<u8> {
    let clients = Clients::from_files(None, Some(directory), None).unwrap();
    let client = clients.builder().tls_info(true).no_proxy().build().unwrap();
    let answer = client.get(format!("{url}/livez")).send().await.unwrap();
    answer.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
}

fn first_in(file: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

/// Puts a pair of files in the place of another one, each at once.
fn put(from: &Files, to: &Files) {
    for (from, to) in [(&from.cert, &to.cert), (&from.key, &to.key)] {
        let draft = to.with_extension("draft");
        fs::copy(from, &draft).unwrap();
        fs::rename(draft, to).unwrap();
    }
}

#[tokio::test]
async fn two_seeds_in_strict_mode_are_one_registry() {
    let mut lab = Lab::new();
    lab.set("MCP_MESH_TLS_MODE", "strict");
    let seed = || lab.start(lab.program("meshctl").args(["seed"]));
    let _seeds = [seed(), seed()];
    let urls = urls(&lab, "seed", 2).await;
    let [one, other] = &urls[..] else { panic!("two seeds") };
    let tls = lab.home().join("tls");
    let own = Authority::open(&tls).unwrap().issue(Owner::Agent("stock"), None).unwrap();
    let client = |own: Option<&Files>| {
        let own = own.map(|files| (files.cert.as_path(), files.key.as_path()));
        Clients::from_files(None, Some(&tls), own).unwrap().builder().no_proxy().build().unwrap()
    };
    let (agent, nobody) = (client(Some(&own)), client(None));
    let refused = nobody.head(format!("{one}/heartbeat/stock-1")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);

    let told = |tool: &str| {
        json!({"agent_id": "stock-1", "name": "stock", "http_host": "127.0.0.1", "http_port": 9,
            "tools": [{"function_name": tool, "capability": tool}]})
    };
    let register = async |url: &str, tool| {
        let answer = agent.post(format!("{url}/heartbeat")).json(&told(tool)).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(register(one, "add").await["status"], "success");
    // Both know it, at an address that speaks TLS; the other one asks the first when the agent beats there.
    let listed = async |url: &str| {
        let agents: Value = agent.get(format!("{url}/agents")).send().await.unwrap().json().await.unwrap();
        let mut healthy = agents["agents"].as_array()?.iter().filter(|agent| agent["status"] == "healthy");
        let found = healthy.find(|agent| agent["id"] == "stock-1")?;
        assert_eq!(found["endpoint"], "https://127.0.0.1:9", "{found}");
        Some(found["capabilities"][0]["name"].as_str()?.to_owned())
    };
    eventually("the other seed lists it", || async { listed(other).await.filter(|name| name == "add") }).await;
    let beat = || async {
        let status = agent.head(format!("{other}/heartbeat/stock-1")).send().await.unwrap().status();
        (status == StatusCode::OK).then_some(())
    };
    eventually("a heartbeat is passed on", beat).await;
    assert_eq!(register(other, "sub").await["status"], "success");
    for url in [one, other] {
        eventually("both list what is new", || async { listed(url).await.filter(|name| name == "sub") }).await;
    }
    let gone = agent.delete(format!("{other}/agents/stock-1")).send().await.unwrap().status();
    assert!(gone.is_success(), "{gone}");
    for url in [one, other] {
        eventually("neither takes it for healthy", || async { listed(url).await.is_none().then_some(()) }).await;
    }
}

#[tokio::test]
async fn a_mesh_that_is_started_with_files_shows_what_is_in_them_now() {
    let elsewhere = tempfile::tempdir().unwrap();
    let authority = Authority::open(elsewhere.path()).unwrap();
    let issued = [Owner::Seed, Owner::Agent("next")].map(|owner| authority.issue(owner, None).unwrap());
    let files = Files { cert: elsewhere.path().join("cert.pem"), key: elsewhere.path().join("key.pem") };
    put(&issued[0], &files);
    let mut lab = Lab::new();
    lab.set("MCP_MESH_TLS_CA", elsewhere.path().join("ca.pem").to_str().unwrap());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let date = text(lab.program("hello-date").get_program().as_ref());
    let (cert, key) = (text(&files.cert), text(&files.key));
    lab.succeed(&["start", "-d", "--wait", "--cert-file", &cert, "--key-file", &key, &date]);
    assert!(lab.succeed(&["call", "get_date", "--fail"]).contains("20"));
    let nodes = [urls(&lab, "seed", 1).await, urls(&lab, "agent", 1).await].concat();
    for url in &nodes {
        assert!(url.starts_with("https://"), "{url}");
        assert_eq!(shown(elsewhere.path(), url).await, first_in(&issued[0].cert), "{url}");
    }
    // Who does not know the CA believes nobody, unless told to believe everybody.
    let call = |skip: &str| {
        let mut call = lab.program("meshctl");
        call.args(["call", "get_date", "--fail", "--node", &nodes[1]]);
        call.env_remove("MCP_MESH_TLS_CA").env("MCP_MESH_TLS_SKIP_VERIFY", skip).output().unwrap()
    };
    let refused = call("false");
    let complained = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && complained.contains("certificate"), "{complained}");
    assert!(call("true").status.success());

    put(&issued[1], &files);
    for url in &nodes {
        let is_new = || async { (shown(elsewhere.path(), url).await == first_in(&issued[1].cert)).then_some(()) };
        eventually("the new certificate is shown", is_new).await;
    }
    fs::write(&files.cert, "no certificate").unwrap();
    let log = || fs::read_to_string(lab.home().join("logs/hello-date.log")).unwrap_or_default();
    let is_warned = || async { log().contains("read before is shown on").then_some(()) };
    eventually("what is broken is warned of", is_warned).await;
    assert!(log().contains("holds no certificate"), "{}", log());
    for url in &nodes {
        assert_eq!(shown(elsewhere.path(), url).await, first_in(&issued[1].cert), "{url}");
    }
    assert!(lab.succeed(&["call", "get_date", "--fail"]).contains("20"));
}

#[tokio::test]
async fn secure_without_files_makes_a_ca_and_half_a_pair_is_refused() {
    let lab = Lab::new();
    let program = lab.program("hello-date");
    let date = program.get_program().to_str().unwrap();
    let refused = lab.meshctl(&["start", "-d", "--cert-file", "cert.pem", date]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--key-file"));
    lab.succeed(&["start", "-d", "--wait", "--secure", date]);
    let url = &urls(&lab, "agent", 1).await[0];
    assert_eq!(
        shown(&lab.home().join("tls"), url).await,
        first_in(&lab.home().join("tls/local-dev/agents/hello-date-cert.pem"))
    );
    assert!(lab.succeed(&["call", "get_date", "--fail"]).contains("20"));
}
