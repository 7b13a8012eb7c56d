//! An agent in Java, with the stock SDK, among others.

use crate::scene::Scene;
use mesh_tests::others;

/// Needs what the agent in Java offers.
const READER: &str = "import mesh\nfrom fastmcp import FastMCP\napp = FastMCP('reader')\n\n@app.tool()\n\
    @mesh.tool(capability='reading_up', dependencies=['name_day'])\n\
    async def read_up(day: str, name_day: mesh.McpMeshTool = None) -> str:\n    \
    return 'It says: ' + (await name_day(day=day) if name_day else 'nothing')\n\n\
    @mesh.agent(name='reader', http_port=0)\nclass Reader:\n    pass\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_java_calls_ours_and_python_ones_and_is_called_by_both() {
    let mut scene = Scene::new();
    scene.set("MAVEN_OPTS", &others::maven_options());
    let (almanac, calendar) = (scene.project("almanac"), scene.agent("calendar"));
    let (reader, ours) = (scene.write("reader.py", READER), scene.program("hello-world"));
    let ours = ours.get_program().to_str().unwrap();
    let said = scene.says(&["start", "-d", &almanac, &calendar, &reader, ours]);
    assert!(said.contains("almanac"), "{said}");
    scene.says(&["wait", "--timeout", "60", "morning", "name_day", "reading_up", "date_service", "greeting"]);

    scene.until_called(&["morning", r#"{"name":"Ada"}"#], "2026-11-21: Hello, Ada! It is 2026-11-21.").await;
    scene.until_called(&["read_up", r#"{"day":"22 November"}"#], "It says: 22 November is the day of Cecilia").await;
    let listed = scene.says(&["list"]);
    let line = listed.lines().find(|line| line.starts_with("almanac-")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[1..5], ["Java", "Agent", "healthy", "2/2"], "{listed}");
    assert!(scene.says(&["logs", "almanac"]).contains("Started Almanac"));

    assert!(scene.says(&["stop", "almanac"]).contains("Agent 'almanac' stopped"));
    assert!(!scene.says(&["list"]).contains("almanac-"), "what was stopped has withdrawn itself");
}
