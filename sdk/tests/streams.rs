//! Results in pieces, and calls that somebody loses interest in.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use mesh::Stream;
use mesh::prelude::*;
use mesh::testing::Mesh;
use tokio::sync::watch;

/// The size of a piece: a few of them fill what is between two nodes.
const PIECE: usize = 256 << 10;

/// How many pieces a producer may be ahead: those that wait in queues of ours, and those in windows of the connection.
const AHEAD: usize = 128;

/// Things that can be counted, and waited for.
struct Counts {
    produced: watch::Sender<usize>,
    ended: watch::Sender<usize>,
}

/// Counts when it is dropped.
struct End(Arc<Counts>);

type Shared = Arc<Counts>;

impl Counts {
    fn new() -> Shared {
        Arc::new(Self { produced: watch::Sender::new(0), ended: watch::Sender::new(0) })
    }

    async fn ended(&self, count: usize) {
        let mut ended = self.ended.subscribe();
        let wait = ended.wait_for(|ended| *ended >= count);
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it ends").unwrap();
    }

    async fn produced(&self, count: usize) {
        let mut produced = self.produced.subscribe();
        let wait = produced.wait_for(|produced| *produced >= count);
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it goes on").unwrap();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}

/// Never ends by itself.
#[mesh::tool(capability = "flood")]
async fn flood(counts: State<Shared>) -> Stream<String> {
    let counts = Arc::clone(&counts);
    Stream::produce(|pieces| async move {
        let end = End(counts);
        while pieces.send("x".repeat(PIECE)).await.is_ok() {
            end.0.produced.send_modify(|produced| *produced += 1);
        }
        Ok(())
    })
}

/// Streams what it is given.
#[mesh::tool(capability = "relay")]
async fn relay(#[dep("flood")] flood: Dep<String>) -> Result<Stream<String>> {
    Ok(Stream::fallible(flood.stream(())?))
}

/// Never returns.
#[mesh::tool(capability = "hang")]
async fn hang(counts: State<Shared>) {
    let end = End(Arc::clone(&counts));
    end.0.produced.send_modify(|produced| *produced += 1);
    std::future::pending().await
}

/// Waits for one that never returns.
#[mesh::tool(capability = "wait")]
async fn wait(#[dep("hang")] hang: Dep<()>) -> Result {
    Ok(hang.call(()).await?)
}

#[mesh::tool(capability = "broken")]
async fn breaks() -> Stream<u32> {
    Stream::produce(|pieces| async move {
        pieces.send(1).await?;
        Err(Error::new("out of numbers"))
    })
}

#[mesh::tool(capability = "echo")]
async fn echo(number: usize) -> usize {
    number
}

fn source(counts: &Shared) -> Agent {
    Agent::new("source").state(counts.clone()).tool::<flood>().tool::<hang>().tool::<echo>().tool::<breaks>()
}

#[tokio::test]
async fn a_slow_taker_slows_the_producer_down_also_through_a_relay() {
    let counts = Counts::new();
    let relay = Agent::new("relay").tool::<relay>();
    let mesh = Mesh::new().with(source(&counts)).with(relay).start().await.unwrap();
    mesh.wait_for("relay").await.unwrap();
    for (round, capability) in ["flood", "relay"].into_iter().enumerate() {
        counts.produced.send_replace(0);
        let mut pieces = mesh.dep::<String>(capability).unwrap().stream(()).unwrap();
        for taken in 1..4 {
            assert_eq!(pieces.next().await.unwrap().unwrap().len(), PIECE);
            // Time enough for a producer that nothing holds up to make thousands.
            for number in 0..100 {
                assert_eq!(mesh.call::<usize>("echo", args! { number }).await.unwrap(), number);
            }
            let produced = *counts.produced.borrow();
            assert!(produced < taken + AHEAD * (round + 1), "{capability}: {produced} produced, {taken} taken");
        }
        drop(pieces);
        counts.ended(round + 1).await;
    }
}

#[tokio::test]
async fn who_drops_a_call_ends_it_and_whatever_it_has_called() {
    let counts = Counts::new();
    let mesh = Mesh::new().with(source(&counts)).with(Agent::new("waiter").tool::<wait>()).start().await.unwrap();
    mesh.wait_for("wait").await.unwrap();
    for (round, capability) in ["hang", "wait"].into_iter().enumerate() {
        let dep = mesh.dep::<()>(capability).unwrap();
        {
            let mut call = std::pin::pin!(dep.call(()));
            tokio::select! {
                biased;
                result = &mut call => panic!("{capability} has returned {result:?}"),
                () = counts.produced(round + 1) => {}
            }
        }
        counts.ended(round + 1).await;
    }
}

#[tokio::test]
async fn an_error_is_the_last_piece_of_a_stream() {
    let mesh = Mesh::new().with(source(&Counts::new())).start().await.unwrap();
    let mut pieces = mesh.dep::<u32>("broken").unwrap().stream(()).unwrap();
    assert_eq!(pieces.next().await.unwrap().unwrap(), 1);
    let why = pieces.next().await.unwrap().unwrap_err().to_string();
    assert!(why.contains("out of numbers"), "{why}");
    assert!(pieces.next().await.is_none());
    let whole = mesh.call::<Vec<u32>>("broken", ()).await.unwrap_err().to_string();
    assert!(whole.contains("out of numbers"), "{whole}");
}
