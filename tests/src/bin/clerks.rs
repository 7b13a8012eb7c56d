//! Two agents on which tests try the command line: tools for every kind of argument and of end, and names and tools that
//! can be mistaken for each other.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh::Stream;
use mesh::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

/// What a clerk was told.
#[derive(Serialize, JsonSchema)]
struct Note {
    text: String,
    count: Option<i64>,
    urgent: Option<bool>,
    names: Option<Vec<String>>,
    headers: BTreeMap<String, String>,
    session: Option<String>,
    /// How many milliseconds were left.
    left: Option<u64>,
}

/// Writes down what it is told, and what came along.
#[mesh::tool(capability = "office.notes", tags = ["paper"], version = "1.2.0", idempotent)]
async fn write_down(
    /// What to write.
    text: String,
    count: Option<i64>,
    urgent: Option<bool>,
    names: Option<Vec<String>>,
    context: Context,
) -> Note {
    let headers = context.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let left = context.remaining().and_then(|left| u64::try_from(left.as_millis()).ok());
    Note { text, count, urgent, names, headers, session: context.session().map(str::to_owned), left }
}

/// Refuses whatever it is asked.
#[mesh::tool(capability = "office.refusals")]
async fn refuse(reason: String) -> Result<String> {
    Err(Error::new(reason))
}

/// Takes its time.
#[mesh::tool(capability = "naps")]
async fn nap(milliseconds: u64) -> &'static str {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    "rested"
}

/// Counts aloud.
#[mesh::tool(capability = "counting")]
async fn count(to: u32) -> Stream<String> {
    Stream::produce(move |said| async move {
        for number in 1..=to {
            said.send(format!("{number};")).await?;
        }
        Ok(())
    })
}

/// Reads a note to a colleague.
#[mesh::tool(capability = "reading")]
async fn read_out(#[dep("office.notes", tags = ["+paper"])] notes: Dep<serde_json::Value>) -> Result<String> {
    let note = notes.call(args! { text: "read me" }).await?;
    Ok(note["text"].as_str().unwrap_or_default().to_owned())
}

/// Has a tool of the same name as its elder.
#[mesh::tool(name = "nap", capability = "short_naps")]
async fn short_nap() -> &'static str {
    "blinked"
}

#[mesh::main]
async fn main() -> Result {
    let clerk =
        Agent::new("clerk").description("Works").tool::<write_down>().tool::<refuse>().tool::<nap>().tool::<count>();
    let junior = Agent::new("clerk-junior").tool::<short_nap>().tool::<read_out>();
    mesh::run([clerk, junior]).await
}
