//! Several agents in one process.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use mesh::prelude::*;
use mesh::testing::Mesh;

struct Name(&'static str);

/// Says whose node runs it, and the trace that it is part of.
#[mesh::tool(capability = "who")]
async fn who(name: State<Name>, context: Context) -> (String, Option<String>) {
    (name.0.to_owned(), context.trace_id())
}

#[mesh::tool(capability = "ask")]
async fn ask(#[dep("who")] who: Dep<(String, Option<String>)>, context: Context) -> Result<(String, bool)> {
    let (name, trace) = who.call(()).await?;
    Ok((name, trace == context.trace_id()))
}

/// Asks an agent by its name, whatever it provides.
#[mesh::tool(capability = "ask_by_name")]
async fn ask_by_name(agent: String, context: Context) -> Result<String> {
    let (name, _): (String, Option<String>) = context.call_agent(&agent, "who", ()).await?;
    Ok(name)
}

/// Asks for something that nobody knew of when it was written.
#[mesh::tool(capability = "ask_for")]
async fn ask_for(selector: String, context: Context) -> Result<String> {
    let (name, _): (String, Option<String>) = context.call(&selector, ()).await?;
    Ok(name)
}

fn named(name: &'static str) -> Agent {
    Agent::new(name).state(Name(name)).tool::<who>()
}

#[tokio::test]
async fn agents_of_one_process_are_as_separate_as_in_two() {
    let ada = named("ada").tool::<ask>();
    let mut mesh = Mesh::new().with_process([ada, named("bob")]).start().await.unwrap();
    mesh.wait_for("ask").await.unwrap();
    let mut names = BTreeSet::new();
    while names.len() < 2 {
        let (name, same_trace): (String, bool) = mesh.call("ask", ()).await.unwrap();
        assert!(same_trace);
        names.insert(name);
    }
    let ids: BTreeSet<String> = ["ada", "bob"].map(|name| mesh.agent(name).unwrap().id().to_string()).into();
    assert_eq!(ids.len(), 2);
    // One of them leaves; the other goes on.
    mesh.stop("bob").await.unwrap();
    for _ in 0..5 {
        assert_eq!(mesh.call::<(String, bool)>("ask", ()).await.unwrap(), ("ada".into(), true));
    }
}

#[tokio::test]
async fn a_body_asks_by_name_and_by_what_it_is_told() {
    let asker = Agent::new("asker").tool::<ask_by_name>().tool::<ask_for>();
    let mesh = Mesh::new().with(asker).with(named("ada")).with(named("bob")).start().await.unwrap();
    assert_eq!(mesh.call::<String>("ask_by_name", args! { agent: "bob" }).await.unwrap(), "bob");
    let nobody = mesh.call::<String>("ask_by_name", args! { agent: "eve" }).await.unwrap_err().to_string();
    assert!(nobody.contains("no such agent is there"), "{nobody}");
    let said: String = mesh.call("ask_for", args! { selector: "who" }).await.unwrap();
    assert!(["ada", "bob"].contains(&said.as_str()));
    let wrong = mesh.call::<String>("ask_for", args! { selector: "who (" }).await.unwrap_err().to_string();
    assert!(wrong.contains("the selector `who (`"), "{wrong}");
}
