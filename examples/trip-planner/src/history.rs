//! Remembers what was said in a session: in Redis where `REDIS_URL` names one, else in its own memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mesh::{State, Verdict, prelude::*};
use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most turns of a session that are remembered; the oldest go first.
const MAX_TURNS: usize = 1000;

/// The most sessions in memory, and the most bytes of them all; the session that began first goes first.
const MAX_SESSIONS: usize = 10_000;
const MAX_BYTES: usize = 4 << 20;

/// The most bytes of a turn, and of a session's name.
const MAX_TURN_BYTES: usize = 256 << 10;
const MAX_NAME_BYTES: usize = 256;

/// How long Redis may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// What became of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// The session.
    pub session_id: String,
    /// Who said it.
    pub role: String,
    /// Whether it is remembered.
    pub saved: bool,
    /// How many turns the session has by now.
    pub total_turns: usize,
}

/// Where turns are kept.
pub enum Store {
    /// In this process, and gone with it.
    Memory(Mutex<Memory>),
    /// In Redis.
    Redis(Box<ConnectionManager>),
}

/// The sessions of this process.
#[derive(Debug, Default)]
pub struct Memory {
    sessions: BTreeMap<String, VecDeque<Turn>>,
    /// In the order in which they began.
    order: VecDeque<String>,
    /// What all of it takes, roughly.
    bytes: usize,
}

/// Saves one turn of a conversation.
#[mesh::tool(capability = "chat_history", tags = ["chat", "history", "state"], version = "1.0.0")]
pub async fn save_turn(
    /// The session.
    session_id: String,
    /// `user` or `assistant`.
    role: String,
    /// What was said.
    content: String,
    store: State<Store>,
) -> Result<Saved> {
    check(&session_id)?;
    if content.len() > MAX_TURN_BYTES {
        return Err(Error::invalid_argument(format!("a turn has at most {MAX_TURN_BYTES} bytes")));
    }
    let turn = Turn { role: role.clone(), content };
    let total_turns = match &*store {
        Store::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).save(&session_id, turn),
        Store::Redis(redis) => {
            let mut redis = redis.clone();
            let kept = isize::try_from(MAX_TURNS).unwrap_or(isize::MAX);
            let total: usize = redis.rpush(key(&session_id), serde_json::to_string(&turn)?).await?;
            let () = redis.ltrim(key(&session_id), -kept, -1).await?;
            total.min(MAX_TURNS)
        }
    };
    Ok(Saved { session_id, role, saved: true, total_turns })
}

/// Gets the latest turns of a conversation, the oldest first.
#[mesh::tool(capability = "chat_history", tags = ["chat", "history", "state"], version = "1.0.0", idempotent, read_only)]
pub async fn get_history(
    /// The session.
    session_id: String,
    /// How many turns.
    #[default(20)]
    limit: usize,
    store: State<Store>,
) -> Result<Vec<Turn>> {
    check(&session_id)?;
    let limit = limit.min(MAX_TURNS);
    if limit == 0 {
        return Ok(Vec::new());
    }
    match &*store {
        Store::Memory(memory) => Ok(memory.lock().unwrap_or_else(PoisonError::into_inner).last(&session_id, limit)),
        Store::Redis(redis) => {
            let first = -isize::try_from(limit).unwrap_or(isize::MAX);
            let turns: Vec<String> = redis.clone().lrange(key(&session_id), first, -1).await?;
            Ok(turns.iter().map(|turn| serde_json::from_str(turn)).collect::<Result<_, _>>()?)
        }
    }
}

fn check(session_id: &str) -> Result<()> {
    match session_id.len() {
        1..=MAX_NAME_BYTES => Ok(()),
        _ => Err(Error::invalid_argument(format!("a session's name has 1 to {MAX_NAME_BYTES} bytes"))),
    }
}

fn key(session_id: &str) -> String {
    format!("chat:{session_id}")
}

impl Memory {
    fn save(&mut self, session: &str, turn: Turn) -> usize {
        if !self.sessions.contains_key(session) {
            self.order.push_back(session.to_owned());
        }
        self.bytes += turn.bytes();
        self.sessions.entry(session.to_owned()).or_default().push_back(turn);
        while self.order.len() > 1 && (self.order.len() > MAX_SESSIONS || self.bytes > MAX_BYTES) {
            self.forget_oldest_but(session);
        }
        let Some(turns) = self.sessions.get_mut(session) else { return 0 };
        while turns.len() > 1 && (turns.len() > MAX_TURNS || self.bytes > MAX_BYTES) {
            self.bytes -= turns.pop_front().map_or(0, |oldest| oldest.bytes());
        }
        turns.len()
    }

    /// Forgets the session that began first, other than `spared`, which then counts as begun now.
    fn forget_oldest_but(&mut self, spared: &str) {
        let Some(oldest) = self.order.pop_front() else { return };
        if oldest == spared {
            return self.order.push_back(oldest);
        }
        let gone = self.sessions.remove(&oldest).unwrap_or_default();
        self.bytes -= gone.iter().map(Turn::bytes).sum::<usize>();
    }

    fn last(&self, session: &str, limit: usize) -> Vec<Turn> {
        let turns = self.sessions.get(session);
        turns.map_or_else(Vec::new, |turns| turns.iter().skip(turns.len().saturating_sub(limit)).cloned().collect())
    }
}

impl Turn {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.role.len() + self.content.len()
    }
}

impl Store {
    /// In the process that asks.
    pub fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// Where the environment says: in the Redis that `REDIS_URL` names (or `REDIS_HOST` and `REDIS_PORT`), else here.
    ///
    /// # Errors
    /// When what is said is no address. Whether Redis is there shows in the agent's health.
    pub fn of_environment() -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let of_host = || {
            let port = set("REDIS_PORT").unwrap_or_else(|| "6379".to_owned());
            Some(format!("redis://{}:{port}", set("REDIS_HOST")?))
        };
        match set("REDIS_URL").or_else(of_host) {
            Some(url) => Self::redis(&url),
            None => {
                tracing::info!("conversations are kept in memory: set REDIS_URL to keep them in Redis");
                Ok(Self::memory())
            }
        }
    }

    fn connection(&self) -> Option<ConnectionManager> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(redis) => Some((**redis).clone()),
        }
    }

    fn redis(url: &str) -> Result<Self> {
        let client = redis::Client::open(url)?;
        let patience = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self::Redis(Box::new(ConnectionManager::new_lazy_with_config(client, patience)?)))
    }
}

/// Whether Redis answers.
async fn health(redis: Option<ConnectionManager>) -> Verdict {
    let Some(mut redis) = redis else { return Verdict::Healthy };
    match redis.ping::<String>().await {
        Ok(_) => Verdict::Healthy,
        Err(why) => Verdict::Unhealthy(format!("Redis, which REDIS_URL names, cannot be reached: {why}")),
    }
}

/// The agent.
///
/// # Errors
/// When `REDIS_URL` is no address.
pub fn agent() -> Result<Agent> {
    Ok(with(Store::of_environment()?))
}

fn with(store: Store) -> Agent {
    let redis = store.connection();
    Agent::new("chat-history-agent")
        .description("Remembers what was said")
        .tool::<save_turn>()
        .tool::<get_history>()
        .state(store)
        .health_check(move || health(redis.clone()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    async fn say(store: &State<Store>, session: &str, content: &str) -> usize {
        save_turn(session.into(), "user".into(), content.into(), store.clone()).await.unwrap().total_turns
    }

    #[tokio::test]
    async fn the_latest_turns_of_each_session_are_remembered() {
        let store = State::new(Store::memory());
        assert_eq!((say(&store, "a", "one").await, say(&store, "a", "two").await), (1, 2));
        assert_eq!(say(&store, "b é/\n", "other").await, 1);
        let last = get_history("a".into(), 1, store.clone()).await.unwrap();
        assert_eq!(last, [Turn { role: "user".into(), content: "two".into() }]);
        assert_eq!(get_history("nobody".into(), 20, store.clone()).await.unwrap(), []);
        for _ in 0..MAX_TURNS {
            say(&store, "a", "more").await;
        }
        assert_eq!(get_history("a".into(), usize::MAX, store).await.unwrap().len(), MAX_TURNS);
    }

    #[tokio::test]
    async fn sessions_that_began_long_ago_give_way_to_what_is_said_now() {
        let store = State::new(Store::memory());
        let long = "x".repeat(MAX_TURN_BYTES);
        say(&store, "a", "old").await;
        say(&store, "b", "also").await;
        for _ in 0..MAX_BYTES / MAX_TURN_BYTES {
            say(&store, "a", &long).await;
        }
        assert_eq!(get_history("b".into(), 20, store.clone()).await.unwrap(), []);
        let kept = get_history("a".into(), 100, store.clone()).await.unwrap();
        assert!(kept.len() > 1 && kept.iter().map(Turn::bytes).sum::<usize>() <= MAX_BYTES, "{}", kept.len());
        let Store::Memory(memory) = &*store else { panic!("it is in memory") };
        let memory = memory.lock().unwrap();
        let held = memory.sessions.values().flatten().map(Turn::bytes).sum::<usize>();
        assert_eq!((memory.bytes, memory.order.len()), (held, memory.sessions.len()));
    }

    #[tokio::test]
    async fn what_is_too_much_is_refused() {
        let store = State::new(Store::memory());
        let refused = |session: String, content: String| save_turn(session, "user".into(), content, store.clone());
        assert!(refused(String::new(), "x".into()).await.is_err());
        assert!(refused("x".repeat(300), "x".into()).await.is_err());
        assert!(refused("a".into(), "x".repeat(MAX_TURN_BYTES + 1)).await.is_err());
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_unhealthy() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let store = Store::redis(&format!("redis://{gone}")).unwrap();
        assert!(matches!(health(store.connection()).await, Verdict::Unhealthy(_)));
    }
}
