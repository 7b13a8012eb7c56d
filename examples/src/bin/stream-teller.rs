//! Tells a story word by word.
//!
//! ```text
//! meshctl start -d examples:stream-teller
//! meshctl call --stream tell '{"pause":200}'
//! ```

use std::time::Duration;

use mesh::Stream;
use mesh::prelude::*;

const STORY: &str = "Once upon a time there was a mesh, and nobody was in the middle of it.";

/// Tells a story, word by word.
#[mesh::tool(capability = "story", read_only)]
async fn tell(
    /// How long to take for each word, in milliseconds.
    #[default(50)]
    pause: u64,
) -> Stream<String> {
    Stream::produce(move |words| async move {
        for word in STORY.split_inclusive(' ') {
            words.send(word.to_owned()).await?;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    })
}

#[mesh::main]
async fn main() -> Result {
    Agent::new("stream-teller").tool::<tell>().run().await
}
