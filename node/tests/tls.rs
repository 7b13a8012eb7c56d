//! HTTP over TLS, by real nodes: who is let in, what is said to the others, and who is called over it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "shared/seeds.rs"]
mod seeds;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::resolve::Query;
use mesh_gossip::resolve::selector::Selector;
use mesh_node::call::{Request, Target};
use mesh_node::config::{NodeConfig, TlsMode, TrustBackend};
use mesh_node::node::{Node, Plug, StartError};
use mesh_node::tls::Clients;
use mesh_node::tls::authority::{Authority, Files, Owner};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use seeds::Host;

const PATIENCE: Duration = Duration::from_secs(60);

fn seed(home: &Path, mode: TlsMode) -> NodeConfig {
    let mut config = seeds::config(home);
    config.tls.mode = mode;
    config
}

async fn start(config: NodeConfig) -> Node {
    try_start(config).await.unwrap()
}

async fn try_start(config: NodeConfig) -> Result<Node, StartError> {
    Node::start(config, seeds::plug()).await
}

/// A client that trusts the CA in `home`, with the certificate of `own`, if any.
fn client(home: &Path, own: Option<&Files>) -> Client {
    let own = own.map(|files| (files.cert.as_path(), files.key.as_path()));
    let clients = Clients::from_files(None, Some(&home.join("tls")), own).unwrap();
    clients.builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

fn issued(home: &Path, name: &str) -> Files {
    Authority::open(&home.join("tls")).unwrap().issue(Owner::Agent(name), None).unwrap()
}

async fn ask(client: &Client, node: &Node, path: &str) -> (u16, Value) {
    let answer = client.get(format!("{}{path}", node.http_url().unwrap())).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

fn homes() -> (TempDir, TempDir) {
    (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn clients_are_let_in_as_the_mode_says() {
    let (home, elsewhere) = homes();
    let (home, elsewhere) = (home.path(), elsewhere.path());
    let (own, foreign) = (issued(home, "own"), issued(elsewhere, "foreign"));
    let (unnamed, own, foreign) = (client(home, None), client(home, Some(&own)), client(home, Some(&foreign)));
    for mode in [TlsMode::Auto, TlsMode::Strict] {
        let seed = start(seed(home, mode)).await;
        assert!(seed.http_url().unwrap().starts_with("https://127.0.0.1:"));
        for path in ["/health", "/agents", "/nowhere"] {
            let expected = if path == "/nowhere" { 404 } else { 200 };
            let (status, said) = ask(&unnamed, &seed, path).await;
            match mode {
                TlsMode::Auto => assert_eq!(status, expected, "{path}"),
                _ => assert_eq!((status, said), (403, json!({"error": "client certificate required"})), "{path}"),
            }
            assert_eq!(ask(&own, &seed, path).await.0, expected, "{mode:?} {path}");
            let (status, said) = ask(&foreign, &seed, path).await;
            assert_eq!((status, &said["error"]), (403, &json!("untrusted certificate")), "{mode:?} {path}");
            // All roots of the mesh's own making have the same name, so that it is the signature that does not fit.
            assert!(said["detail"].as_str().unwrap().contains("invalid peer certificate"), "{said}");
        }
        // What orchestrators ask has no certificate.
        assert_eq!(ask(&unnamed, &seed, "/livez").await.0, 200, "{mode:?}");
        seed.stop().await;
    }
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_believed_and_plain_http_is_told_of_tls() {
    let (home, elsewhere) = homes();
    let seed = start(seed(home.path(), TlsMode::Auto)).await;
    drop(issued(elsewhere.path(), "x"));
    let asked = client(elsewhere.path(), None).get(format!("{}/health", seed.http_url().unwrap())).send().await;
    assert!(format!("{:?}", asked.unwrap_err()).contains("InvalidCertificate"));
    let address = seed.http_url().unwrap().trim_start_matches("https://");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, plain.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.starts_with("HTTP/1.0 400") && said.contains("https://"), "{said}");
}

#[tokio::test]
async fn an_agent_that_registers_with_a_certificate_is_called_over_tls() {
    let home = tempfile::tempdir().unwrap();
    let seed = start(seed(home.path(), TlsMode::Strict)).await;
    // An agent of the mesh's own, which stands for one that knows HTTP only: it is in a mesh of its own.
    let mut config = NodeConfig::new("echo");
    config.mesh = seed_of_nobody(home.path());
    config.tls.mode = TlsMode::Strict;
    let agent = Node::start(config, Plug::new(Host::with(&["echo"]))).await.unwrap();
    let url: reqwest::Url = agent.http_url().unwrap().parse().unwrap();
    let told = json!({"agent_id": "stock-1", "name": "stock", "http_host": "127.0.0.1", "http_port": url.port(),
        "tools": [{"function_name": "echo", "capability": "echo"}]});
    let own = client(home.path(), Some(&issued(home.path(), "stock")));
    let base = seed.http_url().unwrap();
    let answer: Value = own.post(format!("{base}/heartbeat")).json(&told).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "success", "{answer}");
    let agents = ask(&own, &seed, "/agents").await.1;
    assert_eq!(agents["agents"][0]["endpoint"], format!("https://127.0.0.1:{}", url.port().unwrap()));

    let query = Arc::new(Query::new(Selector::new("echo")));
    let request = || Request::new(Target::Capability(Arc::clone(&query)), &b"{\"a\":1}"[..]);
    let called = async {
        loop {
            if let Ok(reply) = seed.caller().call(request()).await {
                return reply;
            }
        }
    };
    let reply = timeout(PATIENCE, called).await.unwrap();
    assert_eq!(reply.agent.as_str(), "stock-1");
    assert!(format!("{:?}", reply.payload).contains("\\\"a\\\":1"), "{:?}", reply.payload);

    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"b": 2}}});
    let proxied = own.post(format!("{base}/proxy/127.0.0.1:{}/mcp", url.port().unwrap())).json(&body);
    let proxied = proxied.header("accept", "application/json, text/event-stream").send().await.unwrap();
    let (status, text) = (proxied.status().as_u16(), proxied.text().await.unwrap());
    assert!(status == 200 && text.contains("\\\"b\\\":2"), "{status} {text}");
    drop((agent, seed));
}

fn seed_of_nobody(home: &Path) -> mesh_node::config::MeshConfig {
    let mut mesh = NodeConfig::new("x").mesh;
    mesh.home = Some(home.to_owned());
    mesh.name = "another".into();
    mesh.seeds = Some(vec![]);
    mesh.listen = Some("127.0.0.1:0".parse().unwrap());
    mesh
}

#[tokio::test]
async fn those_who_shake_no_hands_hold_nobody_up() {
    let home = tempfile::tempdir().unwrap();
    let seed = start(seed(home.path(), TlsMode::Auto)).await;
    let address = seed.http_url().unwrap().trim_start_matches("https://").to_owned();
    let mut idle = Vec::new();
    for number in 0..3_000 {
        // More than there is room for: who came first gives way.
        let Ok(mut stream) = TcpStream::connect(&address).await else { continue };
        let begun: &[u8] = [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00garbage that is no hello"][number % 3];
        let _ = stream.write_all(begun).await;
        idle.push(stream);
        if idle.len() > 800 {
            idle.remove(0);
        }
    }
    let client = client(home.path(), None);
    for _ in 0..5 {
        assert_eq!(timeout(PATIENCE, ask(&client, &seed, "/health")).await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn trusted_cas_are_followed_as_their_files_come_and_go() {
    let (home, elsewhere) = homes();
    let own = issued(home.path(), "own");
    let mut config = seed(home.path(), TlsMode::Strict);
    config.tls.backends = vec![TrustBackend::FileStore];
    config.tls.trust_dir = Some(elsewhere.path().join("trust"));
    (config.tls.cert, config.tls.key) = (Some(own.cert.clone()), Some(own.key.clone()));
    let seed = start(config).await;
    let client = client(home.path(), Some(&own));
    let (status, said) = ask(&client, &seed, "/health").await;
    assert_eq!((status, &said["error"]), (403, &json!("untrusted certificate")));
    let entities = elsewhere.path().join("trust/entities");
    std::fs::create_dir_all(&entities).unwrap();
    std::fs::copy(home.path().join("tls/ca.pem"), entities.join("acme.pem")).unwrap();
    let until = |wanted: u16| {
        let (home, own, seed) = (home.path(), &own, &seed);
        async move {
            // Each time on another connection: who has come in stays.
            while ask(&self::client(home, Some(own)), seed, "/health").await.0 != wanted {}
        }
    };
    timeout(PATIENCE, until(200)).await.unwrap();
    std::fs::remove_file(entities.join("acme.pem")).unwrap();
    timeout(PATIENCE, until(403)).await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_files_is_said_at_the_start() {
    let (home, elsewhere) = homes();
    let (a, b) = (issued(home.path(), "a"), issued(elsewhere.path(), "b"));
    let garbage = home.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN NOTHING-----\n").unwrap();
    let missing = home.path().join("missing.pem");
    let cases = [
        (Some(&a.cert), Some(&b.key), vec!["does not belong to", "a-cert.pem"]),
        (Some(&garbage), Some(&a.key), vec!["garbage.pem holds no certificate", "name one"]),
        (Some(&a.cert), Some(&garbage), vec!["garbage.pem holds no private key"]),
        (Some(&missing), Some(&a.key), vec!["cannot read", "missing.pem", "name a file"]),
        (Some(&a.cert), None, vec!["MCP_MESH_TLS_KEY is missing"]),
    ];
    for (cert, key, said) in cases {
        let mut config = seed(home.path(), TlsMode::Auto);
        (config.tls.cert, config.tls.key) = (cert.cloned(), key.cloned());
        let why = try_start(config).await.err().unwrap().to_string();
        assert!(said.iter().all(|said| why.contains(said)), "{why}");
    }
    // A CA whose key is elsewhere issues nothing.
    std::fs::remove_file(home.path().join("tls/ca-key.pem")).unwrap();
    std::fs::remove_dir_all(home.path().join("tls/local-dev")).unwrap();
    let why = try_start(seed(home.path(), TlsMode::Auto)).await.err().unwrap().to_string();
    assert!(why.contains("ca.pem cannot issue certificates") && why.contains("MCP_MESH_TLS_CERT"), "{why}");
}
