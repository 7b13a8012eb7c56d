//! Takes the story of `stream-teller` as it is told: as a tool that counts its words, and as server-sent events.
//!
//! ```text
//! meshctl start -d examples:stream-teller examples:stream-reader
//! meshctl call count_words
//! curl -N <url>/story
//! ```

use futures::StreamExt;
use mesh::Stream;
use mesh::prelude::*;

/// Counts the words of a story while it is told.
#[mesh::tool(capability = "story_length")]
async fn count_words(#[dep("story")] story: Dep<String>, context: Context) -> Result<u32> {
    let mut words = story.stream(args! { pause: 10 })?;
    let mut count = 0;
    while let Some(word) = words.next().await {
        count += 1;
        context.progress(f64::from(count), None, &word?).await;
    }
    Ok(count)
}

/// The story, to be read with `curl -N`.
#[mesh::route(GET, "/story")]
async fn story(#[dep("story")] story: Dep<String>) -> Result<Stream<String>> {
    Ok(Stream::fallible(story.stream(())?))
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("stream-reader").tool::<count_words>().route::<story>().run().await
}
