//! chitchat alone, with its default settings: state by Scuttlebutt, liveness by phi accrual, one round a second.
//!
//! It runs on tokio. Its clock is tokio's, paused, and moved along with the world's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, ChitchatMessage, Deserializable, FailureDetectorConfig, Serializable,
    spawn_chitchat,
};
use mesh_gossip::id::MemberId;
use mesh_gossip::moment::Moment;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::id_of;
use crate::host::{Actions, Event, Host, Knows, News, Standing, Wish, gossip_address, host_at};

/// Rounds of gossip.
const INTERVAL: Duration = Duration::from_secs(1);

/// Messages that may wait for one host's task; it reads them before anything else happens.
const INBOX: usize = 1_024;

/// tokio's timers have a resolution of a millisecond: a round is due by then for sure.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// The tokio runtime that all chitchat hosts of one world share.
pub struct Tokio {
    runtime: Runtime,
    begin: Instant,
}

impl Tokio {
    /// A runtime on this thread with a clock that stands still.
    ///
    /// # Errors
    /// What the operating system says when it refuses the runtime's resources.
    pub fn new() -> std::io::Result<Rc<Self>> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let begin = runtime.block_on(async { Instant::now() });
        Ok(Rc::new(Self { runtime, begin }))
    }

    /// Moves tokio's clock to `now` and lets every task do what it can.
    fn settle(&self, now: Moment) {
        self.runtime.block_on(async {
            let target = self.begin + Duration::from_micros(now.as_micros());
            let ahead = target.saturating_duration_since(Instant::now());
            if !ahead.is_zero() {
                tokio::time::advance(ahead).await;
            }
            for _ in 0..6 {
                tokio::task::yield_now().await;
            }
        });
    }
}

type Outbox = Arc<Mutex<Vec<(SocketAddr, Vec<u8>)>>>;
type Learnt = Arc<Mutex<Vec<News>>>;

/// A host that runs chitchat.
pub struct ChitchatHost {
    host: u32,
    life: u32,
    seeds: Vec<u32>,
    tokio: Rc<Tokio>,
    inbox: mpsc::Sender<(SocketAddr, ChitchatMessage)>,
    outbox: Outbox,
    learnt: Learnt,
    handle: Option<ChitchatHandle>,
    transport: Wire,
    live: BTreeSet<(u32, u32)>,
    records: Vec<(String, String)>,
    left: bool,
}

impl ChitchatHost {
    /// A host with these records from the start.
    pub fn new(host: u32, life: u32, tokio: Rc<Tokio>, knows: Knows, records: Vec<(String, String)>) -> Self {
        let (inbox, receive) = mpsc::channel(INBOX);
        let outbox = Outbox::default();
        let transport = Wire(Mutex::new(Some(Ends { receive, outbox: Arc::clone(&outbox) })));
        let seeds = match knows {
            Knows::Everybody(_) => vec![0],
            Knows::Seeds(seeds) => seeds,
        };
        let (learnt, handle, live, left) = (Learnt::default(), None, BTreeSet::new(), false);
        Self { host, life, seeds, tokio, inbox, outbox, learnt, handle, transport, live, records, left }
    }

    /// The record that [`Wish::Set`] stands for.
    pub fn record(key: u32, version: u64, bytes: usize) -> (String, String) {
        (format!("r{key}"), format!("{version:0bytes$}"))
    }

    fn start(&mut self, now: Moment) {
        self.tokio.settle(now);
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new(
                format!("agent-{:04}", self.host),
                u64::from(self.life),
                gossip_address(self.host),
            ),
            cluster_id: "mesh".to_owned(),
            gossip_interval: INTERVAL,
            listen_addr: gossip_address(self.host),
            seed_nodes: self.seeds.iter().map(|seed| gossip_address(*seed).to_string()).collect(),
            failure_detector_config: FailureDetectorConfig { sampling_window_size: 100, ..Default::default() },
            marked_for_deletion_grace_period: Duration::from_secs(3_600),
            catchup_callback: None,
            extra_liveness_predicate: None,
        };
        let learnt = Arc::clone(&self.learnt);
        let (records, transport) = (std::mem::take(&mut self.records), &self.transport);
        let handle = self.tokio.runtime.block_on(async {
            let handle = spawn_chitchat(config, records, transport).await.expect("the wire opens once");
            let subscribe = |chitchat: &mut chitchat::Chitchat| {
                let learnt = Arc::clone(&learnt);
                let note = move |change: chitchat::KeyChangeEvent<'_>| {
                    let member = host_at(change.node.gossip_advertise_addr);
                    if let (Some(member), Ok(key), Ok(version)) = (member, change.key.parse(), change.value.parse()) {
                        lock(&learnt).push(News::Record { member, key, version });
                    }
                };
                chitchat.subscribe_event("r", note).forever();
            };
            handle.with_chitchat(subscribe).await;
            handle
        });
        self.handle = Some(handle);
    }

    /// Tells which members came and went since the last look.
    fn look(&mut self, out: &mut Actions<()>) {
        let Some(chitchat) = self.handle.as_ref().map(ChitchatHandle::chitchat) else {
            return;
        };
        let Ok(chitchat) = chitchat.try_lock() else { return };
        let member_of =
            |id: &ChitchatId| Some((host_at(id.gossip_advertise_addr)?, u32::try_from(id.generation_id).ok()?));
        let live: BTreeSet<(u32, u32)> =
            chitchat.live_nodes().filter_map(member_of).filter(|(member, _)| *member != self.host).collect();
        for (changed, standing) in [(&self.live - &live, Standing::Dead), (&live - &self.live, Standing::Alive)] {
            out.news.extend(changed.into_iter().map(|(member, life)| News::Member { member, life, standing }));
        }
        self.live = live;
    }
}

impl Drop for ChitchatHost {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

impl Host for ChitchatHost {
    type Timer = ();
    type Command = Wish;

    fn id(&self) -> MemberId {
        id_of(self.host)
    }

    fn handle(&mut self, now: Moment, event: Event<'_, Self>, out: &mut Actions<()>) {
        if self.left {
            return;
        }
        let mut round = false;
        match event {
            Event::Start => {
                self.start(now);
                out.timers.push((now.after(TIMER_SLACK), ()));
            }
            Event::Datagram { from, mut body, .. } => {
                if let Ok(message) = ChitchatMessage::deserialize(&mut body) {
                    // A full inbox loses the message, as a full socket would.
                    let _ = self.inbox.try_send((from, message));
                }
            }
            Event::Timer(()) => {
                round = true;
                out.timers.push((now.after(INTERVAL), ()));
            }
            Event::Command(Wish::Set { key, version, bytes }) => {
                let (key, value) = Self::record(key, version, bytes);
                if let Some(handle) = &self.handle {
                    let set = |chitchat: &mut chitchat::Chitchat| chitchat.self_node_state().set(&key, &value);
                    self.tokio.runtime.block_on(handle.with_chitchat(set));
                }
            }
            Event::Command(Wish::Remove { key, .. }) => {
                if let Some(handle) = &self.handle {
                    let key = format!("r{key}");
                    let remove = |chitchat: &mut chitchat::Chitchat| chitchat.self_node_state().delete(&key);
                    self.tokio.runtime.block_on(handle.with_chitchat(remove));
                }
            }
            Event::Command(Wish::Leave) => {
                self.left = true;
                if let Some(handle) = &self.handle {
                    handle.abort();
                }
            }
            Event::Asked { .. } | Event::Answered { .. } | Event::Shipped { .. } => {}
        }
        self.tokio.settle(now);
        out.sends.append(&mut lock(&self.outbox));
        out.news.append(&mut lock(&self.learnt));
        if round {
            self.look(out);
        }
    }

    fn kind(body: &[u8]) -> usize {
        body.get(3).map_or(0, |kind| usize::from(*kind))
    }
}

/// The two ends of a host's wire.
struct Ends {
    receive: mpsc::Receiver<(SocketAddr, ChitchatMessage)>,
    outbox: Outbox,
}

struct Wire(Mutex<Option<Ends>>);

#[async_trait]
impl Transport for Wire {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let ends = lock(&self.0).take().ok_or_else(|| anyhow::anyhow!("opened twice"))?;
        Ok(Box::new(ends))
    }
}

#[async_trait]
impl Socket for Ends {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        lock(&self.outbox).push((to, message.serialize_to_vec()));
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        self.receive.recv().await.ok_or_else(|| anyhow::anyhow!("the host is gone"))
    }
}

/// Nothing that holds these locks can leave what they guard half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
