//! An agent for tests of what a mesh survives: some of its tools do what no tool should.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// While this file exists, the health check says no.
const ILL: &str = "VICTIM_ILL";

/// How much one piece of an endless stream holds.
const PIECE_BYTES: usize = 64 << 10;

/// What its tools did so far.
#[derive(Default)]
struct Diary {
    begun: AtomicU64,
    ended: AtomicU64,
    poured: AtomicU64,
}

/// What [`Diary`] says now.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Entry {
    begun: u64,
    ended: u64,
    poured: u64,
}

/// Counts a run in, and out when it is dropped.
struct Run(State<Diary>);

impl Run {
    fn begin(diary: State<Diary>) -> Self {
        diary.begun.fetch_add(1, Ordering::SeqCst);
        Self(diary)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Gives back what it is given.
#[mesh::tool(capability = "echo", idempotent)]
async fn echo(text: String) -> String {
    text
}

/// As `echo`, and nobody may call it twice for one call.
#[mesh::tool(capability = "write")]
async fn write(text: String) -> String {
    text
}

/// Adds two numbers.
#[mesh::tool(capability = "sum", idempotent)]
async fn add(a: u32, b: u32) -> u64 {
    u64::from(a) + u64::from(b)
}

/// Takes anything at all.
#[mesh::tool(capability = "anything")]
async fn swallow(value: Value) -> bool {
    value.is_null()
}

/// Panics.
#[mesh::tool(capability = "panic")]
async fn explode() -> String {
    panic!("as asked")
}

/// Never returns.
#[mesh::tool(capability = "hang")]
async fn hang(diary: State<Diary>) -> String {
    let _run = Run::begin(diary);
    std::future::pending().await
}

/// Takes its time.
#[mesh::tool(capability = "work")]
async fn work(milliseconds: u64, diary: State<Diary>) -> u64 {
    let _run = Run::begin(diary);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    milliseconds
}

/// Streams without end.
#[mesh::tool(capability = "pour")]
async fn pour(diary: State<Diary>) -> Stream<String> {
    Stream::produce(move |pieces| async move {
        let run = Run::begin(diary);
        loop {
            pieces.send("~".repeat(PIECE_BYTES)).await?;
            run.0.poured.fetch_add(PIECE_BYTES as u64, Ordering::SeqCst);
        }
    })
}

/// What the other tools did so far.
#[mesh::tool(capability = "diary", idempotent)]
async fn read_diary(diary: State<Diary>) -> Entry {
    let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
    Entry { begun: of(&diary.begun), ended: of(&diary.ended), poured: of(&diary.poured) }
}

/// Says something to its log.
#[mesh::tool(capability = "log")]
async fn say(words: String) -> bool {
    tracing::warn!("{words}");
    true
}

/// What its clock says, in seconds since 1970.
#[mesh::tool(capability = "clock", idempotent)]
fn tell_time() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

#[mesh::main]
async fn main() -> Result {
    let ill = std::env::var_os(ILL).map(PathBuf::from);
    let is_well = move || {
        let is_ill = ill.as_ref().is_some_and(|path| path.exists());
        async move { !is_ill }
    };
    Agent::new("victim")
        .state(Diary::default())
        .health_check(is_well)
        .tool::<echo>()
        .tool::<write>()
        .tool::<add>()
        .tool::<swallow>()
        .tool::<explode>()
        .tool::<hang>()
        .tool::<work>()
        .tool::<pour>()
        .tool::<read_diary>()
        .tool::<say>()
        .tool::<tell_time>()
        .run()
        .await
}
