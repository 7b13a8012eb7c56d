//! Questions between nodes: one small message there, one bounded answer back, on QUIC streams of a kind of their own.
//!
//! What can be asked is a topic, which somebody on the other node answers: which tools it has, which spans of a trace.
//! Who asks has proved to be a member, no more: topics that are not for everybody have to check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mesh_gossip::gossip::RegisterError;
use mesh_gossip::transport::quic::{AskError, MemberStream};
use mesh_gossip::{Gossip, MemberId};
use quinn::{RecvStream, VarInt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// The kind of stream that questions travel on.
pub const KIND: u8 = 19;

/// The topic under which nodes ask each other for the schema of a tool's arguments, as its author wrote it: the question
/// is the tool's name.
pub const INPUT_SCHEMA: &str = "input-schema";

/// The most bytes of a question, its topic included.
pub const MAX_QUESTION_BYTES: usize = 64 << 10;

/// The most bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// How many questions a node answers at once, and how many more wait; the next ones are told that it is busy.
const AT_ONCE: usize = 64;

/// How long an asker may take to say what it wants to know, and to take the answer; and how long finding it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the first byte of an answer says of the rest.
const ANSWER: u8 = 0;
const REFUSAL: u8 = 1;

/// Somebody who can answer questions on one topic.
#[async_trait]
pub trait Answer: Send + Sync + 'static {
    /// The answer to `question`, which `asker` asks: at most [`MAX_ANSWER_BYTES`].
    ///
    /// # Errors
    /// In words, why there is none.
    async fn answer(&self, asker: MemberId, question: Bytes) -> Result<Bytes, String>;
}

/// Who answers what on this node.
#[derive(Default)]
pub struct Desk {
    topics: BTreeMap<&'static str, Box<dyn Answer>>,
}

/// The way to ask members, this node included, and to answer them. Cheap to clone.
#[derive(Clone)]
pub struct Questions {
    gossip: Arc<Gossip>,
    desk: Arc<Desk>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// The member could not be reached, or has too much to do. Ask another one, or later.
    #[error(transparent)]
    Unreachable(#[from] AskError),
    /// The member was reached and broke off, or did not answer in time. Ask another one, or later.
    #[error("no answer: {0}")]
    Broken(String),
    /// The member has no answer and says why. Asking again does not help.
    #[error("{0}")]
    Refused(String),
    /// The question is longer than 64 KiB. Ask less.
    #[error("a question has at most {MAX_QUESTION_BYTES} bytes")]
    TooLong,
}

impl Desk {
    /// Has `answer` answer what is asked about `topic` (1 to 255 bytes), in place of who did so before.
    #[must_use]
    pub fn with(mut self, topic: &'static str, answer: impl Answer) -> Self {
        self.topics.insert(topic, Box::new(answer));
        self
    }

    async fn answer(&self, asker: MemberId, topic: &str, question: Bytes) -> Result<Bytes, String> {
        let Some(answer) = self.topics.get(topic) else { return Err(format!("nobody answers about {topic:?} here")) };
        let answer = timeout(PATIENCE, answer.answer(asker, question)).await;
        let answer = answer.map_err(|_| "the answer takes too long to find".to_owned())??;
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"));
        }
        Ok(answer)
    }
}

impl Questions {
    /// Questions to the members that `gossip` knows; `desk` answers theirs once [`Questions::serve`] runs.
    pub fn new(gossip: Arc<Gossip>, desk: Desk) -> Self {
        Self { gossip, desk: Arc::new(desk) }
    }

    /// Takes questions from now on. They are answered while the future that comes back is polled; dropping it breaks off
    /// whatever is being answered.
    ///
    /// # Errors
    /// [`RegisterError`] when somebody answers already.
    pub async fn serve(&self) -> Result<impl Future<Output = ()> + Send + use<>, RegisterError> {
        let streams = self.gossip.register(KIND, AT_ONCE).await?;
        Ok(serve(Arc::clone(&self.desk), streams))
    }

    /// Asks `member` about `topic` and waits for the answer until `deadline`. Dropping the future lets the member know that
    /// nobody waits any more.
    ///
    /// # Errors
    /// [`QuestionError`], by what the asker may do.
    pub async fn ask(
        &self,
        member: MemberId,
        topic: &'static str,
        question: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, QuestionError> {
        if member == self.gossip.me() {
            return self.desk.answer(member, topic, question).await.map_err(QuestionError::Refused);
        }
        if 1 + topic.len() + question.len() > MAX_QUESTION_BYTES {
            return Err(QuestionError::TooLong);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let stream = self.gossip.open(member, KIND, left).await?;
        match timeout_at(deadline, exchange(stream, topic, question)).await {
            Ok(answer) => answer,
            Err(_) => Err(QuestionError::Broken("the deadline passed".to_owned())),
        }
    }
}

async fn exchange(mut stream: MemberStream, topic: &str, question: Bytes) -> Result<Bytes, QuestionError> {
    let broken = |error: &dyn std::fmt::Display| QuestionError::Broken(error.to_string());
    let length = u8::try_from(topic.len()).map_err(|_| QuestionError::TooLong)?;
    let mut parts = [Bytes::copy_from_slice(&[length]), Bytes::copy_from_slice(topic.as_bytes()), question];
    stream.send.write_all_chunks(&mut parts).await.map_err(|error| broken(&error))?;
    stream.send.finish().map_err(|error| broken(&error))?;
    let mut answer = read_whole(&mut stream.receive, 1 + MAX_ANSWER_BYTES).await.map_err(QuestionError::Broken)?;
    match answer.first() {
        Some(&ANSWER) => Ok(answer.split_off(1)),
        Some(&REFUSAL) => Err(QuestionError::Refused(String::from_utf8_lossy(&answer[1..]).into_owned())),
        _ => Err(QuestionError::Broken("the answer makes no sense".to_owned())),
    }
}

async fn serve(desk: Arc<Desk>, mut streams: mpsc::Receiver<MemberStream>) {
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            stream = streams.recv(), if answering.len() < AT_ONCE => match stream {
                Some(stream) => { answering.spawn(attend(Arc::clone(&desk), stream)); }
                None => return,
            },
            // A task that panicked dropped its stream, which the asker notices.
            Some(_) = answering.join_next() => {}
        }
    }
}

/// Answers one question. An asker that is too slow, breaks the rules or goes away is owed nothing.
async fn attend(desk: Arc<Desk>, mut stream: MemberStream) {
    let Ok(Ok(message)) = timeout(PATIENCE, read_whole(&mut stream.receive, MAX_QUESTION_BYTES)).await else {
        return abandon(stream);
    };
    let Some((topic, question)) = parse(&message) else { return abandon(stream) };
    let answer = tokio::select! {
        answer = desk.answer(stream.member, topic, question) => answer,
        _ = stream.send.stopped() => return,
    };
    let (status, body) = match answer {
        Ok(answer) => (ANSWER, answer),
        Err(why) => (REFUSAL, why.into()),
    };
    let mut parts = [Bytes::copy_from_slice(&[status]), body];
    let sent = timeout(PATIENCE, stream.send.write_all_chunks(&mut parts)).await;
    if !matches!(sent, Ok(Ok(()))) {
        return abandon(stream);
    }
    // Fails only for a stream that has ended already.
    let _ = stream.send.finish();
}

/// A stream that is merely dropped would end as if it were complete.
fn abandon(mut stream: MemberStream) {
    let _ = stream.send.reset(VarInt::from_u32(0));
}

/// The topic of a question, and the question.
fn parse(message: &Bytes) -> Option<(&str, Bytes)> {
    let length = usize::from(*message.first()?);
    let topic = message.get(1..=length)?;
    Some((std::str::from_utf8(topic).ok()?, message.slice(1 + length..)))
}

/// Reads to the end of the stream, in order and into memory of our own.
async fn read_whole(receive: &mut RecvStream, limit: usize) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = receive.read_chunk(usize::MAX, true).await.map_err(|error| error.to_string())? {
        if bytes.len() + piece.bytes.len() > limit {
            let _ = receive.stop(VarInt::from_u32(0));
            return Err(format!("longer than {limit} bytes"));
        }
        bytes.extend_from_slice(&piece.bytes);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mesh_gossip::GossipConfig;
    use mesh_gossip::config::Config;
    use mesh_gossip::keyring::{Keyring, MeshKey};
    use mesh_gossip::seeds::SeedSpec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    struct Echo;

    #[async_trait]
    impl Answer for Echo {
        async fn answer(&self, _asker: MemberId, question: Bytes) -> Result<Bytes, String> {
            match &*question {
                b"much" => Ok(vec![7; MAX_ANSWER_BYTES].into()),
                b"too much" => Ok(vec![7; MAX_ANSWER_BYTES + 1].into()),
                b"never" => std::future::pending().await,
                _ => Ok(question),
            }
        }
    }

    async fn node(seeds: Vec<SeedSpec>) -> Arc<Gossip> {
        let config = GossipConfig {
            keys: Some(Keyring::new(MeshKey::from_bytes([1; 32]))),
            listen: vec![([127, 0, 0, 1], 0).into()],
            seeds,
            protocol: Config::local(),
            ..GossipConfig::new("questions")
        };
        Arc::new(Gossip::spawn(config).await.unwrap())
    }

    /// Who asks, who is asked, and what has to be kept for the answers to come.
    async fn pair() -> (Questions, MemberId, impl Sized) {
        let asked = node(Vec::new()).await;
        let asker = node(vec![asked.local_addresses()[0].into()]).await;
        asker.joined(LONG).await.unwrap();
        let questions = Questions::new(Arc::clone(&asked), Desk::default().with("echo", Echo));
        let serving = tokio::spawn(questions.serve().await.unwrap());
        (Questions::new(asker, Desk::default().with("echo", Echo)), asked.me(), (questions, serving))
    }

    #[tokio::test]
    async fn a_member_answers_what_its_desk_knows_and_refuses_the_rest() {
        let (questions, member, _serving) = pair().await;
        let ask = async |member, topic, question: &'static str| {
            questions.ask(member, topic, question.into(), Instant::now() + LONG).await
        };
        assert_eq!(ask(member, "echo", "hello").await.unwrap(), "hello");
        assert_eq!(ask(member, "echo", "much").await.unwrap().len(), MAX_ANSWER_BYTES);
        assert!(matches!(ask(member, "echo", "too much").await, Err(QuestionError::Refused(_))));
        assert!(matches!(ask(member, "weather", "").await, Err(QuestionError::Refused(_))));
        let me = questions.gossip.me();
        assert_eq!(ask(me, "echo", "to myself").await.unwrap(), "to myself");
        let long = Bytes::from(vec![0; MAX_QUESTION_BYTES]);
        let long = questions.ask(member, "echo", long, Instant::now() + LONG).await;
        assert_eq!(long, Err(QuestionError::TooLong));
    }

    #[tokio::test]
    async fn a_question_waits_no_longer_than_its_deadline() {
        let (questions, member, _serving) = pair().await;
        let soon = Instant::now() + Duration::from_millis(300);
        assert!(matches!(questions.ask(member, "echo", "never".into(), soon).await, Err(QuestionError::Broken(_))));
    }

    proptest! {
        #[test]
        fn any_message_is_a_question_or_none(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let message = Bytes::from(message);
            if let Some((topic, question)) = parse(&message) {
                prop_assert_eq!(1 + topic.len() + question.len(), message.len());
            }
        }
    }
}
