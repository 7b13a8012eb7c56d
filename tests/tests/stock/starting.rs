//! What `meshctl start` makes of scripts and folders of other languages.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mesh_node::runtime_file::process_started;
use mesh_tests::lab::eventually;

use crate::scene::Scene;

/// An agent that the stock SDK serves, of this name and with one tool that answers `answer`.
fn agent(name: &str, answer: &str) -> String {
    format!(
        "import mesh\nfrom fastmcp import FastMCP\napp = FastMCP('x')\n\n@app.tool()\n@mesh.tool(capability='word')\n\
         def word() -> str:\n    return '{answer}'\n\n@mesh.agent(name='{name}', http_port=0)\nclass A:\n    pass\n"
    )
}

#[test]
fn a_script_is_run_by_the_environment_beside_it_under_the_name_in_its_code() {
    let scene = Scene::new();
    let script = scene.write("words/main.py", &agent("word-agent", "hello"));
    let said = scene.says(&["start", &script, "--debug", "-d", "--env", "COLOUR=red,blue"]);
    assert!(said.contains("Started 'word-agent' in detach") && said.contains("logs/word-agent.log"), "{said}");

    let pid = scene.pid("word-agent");
    let shown = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let (python, path) = (scene.path(".venv/bin/python"), scene.path("words/main.py"));
    assert_eq!(shown("cmdline"), format!("{}\0{}\0", python.display(), path.display()));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), path.parent().unwrap().canonicalize().unwrap());
    let seed = scene.nodes().into_iter().find(|node| node.role == "seed").unwrap();
    let environment = shown("environ");
    for set in [
        format!("MCP_MESH_REGISTRY_URL={}", seed.http_url.unwrap()),
        "MCP_MESH_REGISTRY_HOST=127.0.0.1".into(),
        "MCP_MESH_LOG_LEVEL=DEBUG".into(),
        "MCP_MESH_DEBUG=true".into(),
        "COLOUR=red,blue".into(),
    ] {
        assert!(environment.split('\0').any(|variable| variable == set), "{set}");
    }
    let others =
        fs::read_dir("/proc").unwrap().filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok());
    let path = path.to_str().unwrap().as_bytes();
    assert_eq!(others.filter(|line| line.windows(path.len()).any(|part| part == path)).count(), 1);

    assert!(scene.refuses(&["start", &script, "-d"]).contains("'word-agent' is already running"));
    assert!(!scene.says(&["logs", "word-agent", "-n", "5"]).is_empty());
    assert!(fs::read_to_string(scene.home().join("logs/registry.log")).unwrap().contains("seed is running"));
    assert!(scene.says(&["stop", "word-agent"]).contains("Agent 'word-agent' stopped"));
    assert_eq!(process_started(pid), None);
}

#[test]
fn an_agent_that_breaks_while_it_is_read_is_told_of_with_the_end_of_its_traceback() {
    let scene = Scene::new();
    let script = scene.write("broken.py", "import mesh\n\nraise RuntimeError('no such table')\n");
    let complained = scene.refuses(&["start", "-d", &script]);
    assert!(complained.contains("agent 'broken' ended at once"), "{complained}");
    assert!(complained.contains("Traceback") && complained.contains("RuntimeError: no such table"), "{complained}");
    assert!(scene.refuses(&["stop", "broken"]).contains("agent 'broken' is not running"));
}

#[test]
fn what_is_missing_is_told_with_the_command_that_brings_it() {
    let mut scene = Scene::bare();
    let script = scene.write("a/main.py", &agent("a", ""));
    let complained = scene.refuses(&["start", "-d", &script]);
    assert!(complained.contains("no virtual environment (.venv)"), "{complained}");
    assert!(complained.contains("-m venv") && complained.contains("pip install mcp-mesh"), "{complained}");

    fs::create_dir_all(scene.path(".venv/bin")).unwrap();
    let python = scene.path(".venv/bin/python");
    let says = |lines: &str| {
        fs::write(&python, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        scene.refuses(&["start", "-d", &script])
    };
    assert!(says("echo 3 9 True").contains("is Python 3.9, and agents need 3.11"));
    assert!(says("echo 3 12 False").contains("-m pip install mcp-mesh"));
    assert!(says("exit 1").contains("does not run"));

    scene.write("empty/notes.txt", "");
    let complained = scene.refuses(&["start", "-d", "empty"]);
    assert!(
        complained.contains("no entry point found") && complained.contains("main.py, src/index.ts"),
        "{complained}"
    );
    assert!(scene.refuses(&["start", "-d", "nowhere.py"]).contains("path does not exist: nowhere.py"));
    scene.write("ts/src/index.ts", "");
    scene.write("ts/package.json", "{}");
    scene.write("java/pom.xml", "<project><artifactId>clock</artifactId></project>");
    scene.write("mesh.yaml", "");
    assert!(scene.refuses(&["start", "-d", "mesh.yaml"]).contains("YAML"));
    scene.set("PATH", "/nonexistent");
    let complained = scene.refuses(&["start", "-d", "ts"]);
    assert!(complained.contains("no npx on the path") && complained.contains("apt-get install nodejs"), "{complained}");
    let complained = scene.refuses(&["start", "-d", "java/pom.xml"]);
    assert!(complained.contains("needs Java 17 or later"), "{complained}");
    let complained = scene.refuses(&["start", "-d", &script]);
    assert!(complained.contains("apt-get install python3") || complained.contains("does not run"), "{complained}");
    assert!(scene.nodes().is_empty(), "nothing is started before all that it takes is there");
}

#[test]
fn no_agent_is_started_for_a_registry_that_does_not_answer() {
    let scene = Scene::new();
    let script = scene.write("main.py", &agent("lonely", ""));
    let flags = ["start", "-d", "--connect-only", "--registry-url", "http://127.0.0.1:9", &script];
    let complained = scene.refuses(&flags);
    assert!(complained.contains("no registry answers at http://127.0.0.1:9"), "{complained}");
    assert!(scene.nodes().is_empty() && !scene.home().join("pids/lonely.pid").exists());
}

#[tokio::test]
async fn a_script_that_is_watched_is_replaced_when_it_changes_and_compiles() {
    let scene = Scene::new();
    let code = |word: &str| format!("import time\nprint('{word}')\nimport mesh\ntime.sleep(600)\n");
    let script = scene.write("speaker.py", &code("one"));
    scene.says(&["start", "-d", "-w", "--no-wait", &script]);
    let log = || fs::read_to_string(scene.home().join("logs/speaker.log")).unwrap_or_default();
    eventually("it speaks", || async { log().contains("one").then_some(()) }).await;
    let watched = || fs::read_to_string(scene.home().join("logs/speaker.watcher.log")).unwrap_or_default();
    eventually("it is watched", || async { watched().contains("watching").then_some(()) }).await;
    scene.write("speaker.py", "def broken(:\n");
    eventually("it is told of", || async { watched().contains("the running one stays").then_some(()) }).await;
    assert!(log().contains("one") && watched().contains("SyntaxError"), "{}", watched());
    scene.write("speaker.py", &code("two"));
    eventually("it is replaced", || async { log().contains("two").then_some(()) }).await;
    scene.says(&["stop"]);
}
