use std::collections::BTreeMap;
use std::io::Write;

use super::{Access, NodeConfig, Role};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_environment_beats_the_file_and_the_file_beats_the_code() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        file,
        "[agent]\nversion = \"2.0.0\"\nnamespace = \"file\"\n[calls]\ntimeout = 7\n[mesh]\nseeds = [\"a:1\", \"b:2\"]"
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let all = environment(&[("MESH_CONFIG", path), ("MCP_MESH_NAMESPACE", "variable"), ("HOME", "/home/somebody")]);
    let config = NodeConfig::new("x").load_from(&all).unwrap();
    assert_eq!((config.version.as_str(), &*config.namespace, config.calls.timeout.as_secs()), ("2.0.0", "variable", 7));
    assert_eq!(config.mesh.seeds.unwrap().len(), 2);
    assert_eq!(config.mesh.home.unwrap().to_str(), Some("/home/somebody/.mcp-mesh"));
}

#[test]
fn a_key_that_nobody_knows_is_refused_in_files_and_warned_of_in_the_environment() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[agent]\nnamespase = \"x\"").unwrap();
    let all = environment(&[("MESH_CONFIG", file.path().to_str().unwrap()), ("HOME", "/h")]);
    let error = NodeConfig::new("x").load_from(&all).unwrap_err().to_string();
    assert!(error.contains("namespase") && error.contains("namespace"), "{error}");
    NodeConfig::new("x").load_from(&environment(&[("MESH_SERVICE_HOST", "1.2.3.4"), ("HOME", "/h")])).unwrap();
}

#[test]
fn what_is_wrong_names_the_variable_and_a_way_out_and_never_shows_a_secret() {
    let spoilt = [
        ("MCP_MESH_HTTP_PORT", "70000", "MCP_MESH_HTTP_PORT = 70000 is no number"),
        ("MESH_SEEDS", "http://a:1", "write `host:port`"),
        ("MESH_LISTEN", "7745", "write ip:port"),
        ("MESH_PRESET", "moon", "`local`, `lan` and `wan`"),
        ("MESH_HTTP_ACCESS", "all", "neither `open` nor `loopback`"),
        ("MCP_MESH_PROPAGATE_HEADERS", "*", "end a prefix"),
        ("MCP_MESH_CALL_TIMEOUT", "-1", "no number of seconds"),
        ("MESH_KEY", "secret", "(not shown)"),
    ];
    for (name, value, said) in spoilt {
        let error = NodeConfig::new("x").load_from(&environment(&[(name, value), ("HOME", "/h")])).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = NodeConfig::new("no spaces").load_from(&environment(&[("HOME", "/h")])).unwrap_err().to_string();
    assert!(error.contains("no spaces"), "{error}");
    assert!(NodeConfig::new("x").load_from(&environment(&[])).unwrap_err().to_string().contains("MESH_KEY"));
}

#[test]
fn seeds_serve_the_whole_mesh_and_agents_do_not_unless_they_are_told() {
    let (agent, seed) = (NodeConfig::new("x"), NodeConfig::seed());
    assert!(!agent.http.is_gateway(agent.role) && seed.http.is_gateway(Role::Seed));
    let told = [("MESH_GATEWAY", "on"), ("MCP_MESH_AUTH_TOKEN", "t"), ("MESH_PRESET", "wan"), ("HOME", "/h")];
    let told = agent.load_from(&environment(&told)).unwrap();
    assert!(told.mesh.protocol.probe_period > NodeConfig::new("x").mesh.protocol.probe_period);
    assert!(told.http.is_gateway(Role::Agent));
    assert_eq!(told.http.access, Access::Token("t".into()));
}
