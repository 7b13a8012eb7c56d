//! The one task that owns the core: it receives, fires timers, carries out what the core wants, and tells readers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::error;

use super::Shared;
use super::events::Event;
use super::explain::{Findings, JoinState};
use super::gate::{Gate, Verdict};
use super::life::Life;
use super::metrics::Counts;
use super::ports::{Arrived, Ports};
use super::request::Request;
use super::search::{Resolved, Search};
use super::setup::GossipConfig;
use super::timers::Timers;
use super::trust::Trusted;
use super::view::Draft;
use crate::courier::FromCourier;
use crate::effects::{AskFailed, AskId, Effects, Input};
use crate::id::{MemberId, MeshId};
use crate::keyring::Keyring;
use crate::moment::Moment;
use crate::order::SignedOrder;
use crate::reject::Reject;
use crate::snapshot::SnapshotError;
use crate::timer::Timer;
use crate::transport::quic::{Arrivals, Handler, IncomingAsk, Shipment};

/// How many datagrams are taken in before anything else has its turn.
const DATAGRAMS_AT_ONCE: usize = 256;

/// For how long news are collected while hundreds join: well below what anybody waits for an answer.
const COLLECTING: Duration = Duration::from_millis(50);

/// How often the driver looks after itself.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) config: GossipConfig,
    pub(super) mesh: MeshId,
    pub(super) shared: Arc<Shared>,
    pub(super) trust: Arc<Trusted>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) ports: Ports,
    pub(super) timers: Timers,
    pub(super) tick: Interval,
    pub(super) life: Life,
    /// The keys we started with, and those in force now.
    pub(super) first_keys: Keyring,
    pub(super) keys: Keyring,
    pub(super) tasks: JoinSet<Done>,
    pub(super) under_way: UnderWay,
    pub(super) effects: Effects,
    pub(super) datagram: Vec<u8>,
    pub(super) gate: Gate,
    pub(super) draft: Draft,
    pub(super) events: Vec<Event>,
    pub(super) search: Search,
    pub(super) findings: Findings,
    pub(super) counts: Counts,
    pub(super) rejects: BTreeMap<Reject, u64>,
    pub(super) kinds: BTreeMap<u8, Arc<dyn Handler>>,
    /// Members that saw us under another address than the one we told, and which.
    pub(super) observed: BTreeMap<MemberId, SocketAddr>,
    /// How often the keys changed, and the last change whose keys went to disk.
    pub(super) rotations: u64,
    pub(super) stored_rotation: Arc<Mutex<u64>>,
    /// The member list or the orders are not on disk as they are.
    pub(super) unsaved: bool,
    pub(super) saved: Moment,
    pub(super) measured: Moment,
    /// Another process has our key, and wins.
    pub(super) superseded: bool,
    pub(super) leaving: Option<Leaving>,
    /// The core has not begun: it waits for something to be offered, and for these orders then.
    pub(super) unbegun: Option<Vec<SignedOrder>>,
    /// When the view was published last.
    pub(super) published: Moment,
    /// When we woke up last.
    pub(super) turned: Moment,
}

/// How much is going on beside the driver.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) asks: usize,
    pub(super) ships: usize,
    pub(super) looks: usize,
    pub(super) saving: bool,
}

pub(super) struct Leaving {
    pub(super) until: Moment,
    pub(super) done: Vec<oneshot::Sender<()>>,
}

/// What a task of the driver's brings back.
pub(super) enum Done {
    Asked { ask: AskId, at: SocketAddr, answer: Result<Bytes, AskFailed> },
    Shipped,
    Resolved(Resolved),
    Saved(Result<(), SnapshotError>),
    StreamsClosed,
}

/// How long the readers of a view are left in peace for each member in it. While hundreds join at once every packet changes
/// the view, and everybody who follows it looks at all of it.
const LOOK_AT_MEMBER: Duration = Duration::from_micros(20);

/// Why the driver wakes up.
enum Wake {
    Arrived(Option<Arrived>),
    Timer,
    Tick,
    Request(Option<Request>),
    Asked(IncomingAsk),
    Shipped(Shipment),
    Refused(MemberId),
    Wish(FromCourier),
    Done(Result<Done, JoinError>),
    Broken(std::io::Error),
}

/// Whether the driver goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Stop,
}

pub(super) fn ticker() -> Interval {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

impl Driver {
    /// Runs until the node leaves, or its handle is dropped (which aborts the task).
    pub(super) async fn run(mut self, orders: Vec<SignedOrder>) {
        if self.config.offers_first {
            self.unbegun = Some(orders);
        } else {
            self.begin(orders);
        }
        loop {
            let wake = self.wait().await;
            self.counts.wakeups += 1;
            self.turned = self.now();
            let is_asked_for = matches!(wake, Wake::Request(_));
            let mut flow = self.attend(wake);
            // What waits in the sockets first: a late timer must not accuse whom an unread answer clears.
            if self.take_waiting() == Flow::Stop {
                flow = Flow::Stop;
            }
            self.fire_due();
            if self.superseded {
                self.move_on().await;
            }
            let is_over = flow == Flow::Stop || self.has_left();
            self.publish(is_asked_for || is_over);
            if is_over {
                break;
            }
        }
        self.end().await;
    }

    pub(super) fn now(&self) -> Moment {
        self.timers.now()
    }

    /// Gives the core something, and carries out what it wants.
    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.life.protocol.handle(self.timers.now(), input, &mut self.effects);
        self.carry_out();
    }

    async fn wait(&mut self) -> Wake {
        let collecting = self.collects_until();
        let Self { ports, timers, tick, requests, life, tasks, .. } = self;
        tokio::select! {
            arrived = ports.receive(), if collecting.is_none() => arrived.map_or_else(Wake::Broken, Wake::Arrived),
            () = timers.ring(collecting) => Wake::Timer,
            request = requests.recv() => Wake::Request(request),
            Some(wish) = life.wishes.recv() => Wake::Wish(wish),
            wake = arrival(&mut life.arrivals) => wake,
            Some(done) = tasks.join_next(), if !tasks.is_empty() => Wake::Done(done),
            _ = tick.tick() => Wake::Tick,
        }
    }

    /// While hundreds join, datagrams and timers wait for each other for a moment: waking up costs more than each of them.
    fn collects_until(&self) -> Option<Moment> {
        let until = self.turned.after(COLLECTING);
        (self.life.protocol.is_in_a_crowd() && until > self.now()).then_some(until)
    }

    fn attend(&mut self, wake: Wake) -> Flow {
        match wake {
            Wake::Arrived(arrived) => arrived.into_iter().for_each(|arrived| self.take_datagram(arrived)),
            Wake::Timer => {}
            Wake::Tick => self.look_after(),
            Wake::Request(Some(request)) => self.serve(request),
            Wake::Request(None) => return Flow::Stop,
            Wake::Asked(asked) => self.answer(asked),
            Wake::Shipped(Shipment { from, message, .. }) => self.handle(Input::Shipped { from, bytes: &message }),
            // At once, whatever else is to be told: callers wait for it. Nobody may be listening.
            Wake::Refused(member) => drop(self.shared.events.send(Event::Refused(member))),
            Wake::Wish(FromCourier::Send { to, bytes }) => self.handle(Input::Carry { to, bytes }),
            Wake::Wish(FromCourier::Learnt(alive)) => {
                let alive: Vec<_> = alive.into_iter().map(Arc::new).collect();
                self.handle(Input::Learnt(&alive));
            }
            Wake::Done(Ok(done)) => self.take_done(done),
            Wake::Done(Err(failed)) => {
                if failed.is_panic() {
                    error!(%failed, "a task of the gossip node failed; the node goes on");
                }
            }
            Wake::Broken(error) => return broken(&error),
        }
        Flow::On
    }

    fn take_waiting(&mut self) -> Flow {
        for _ in 0..DATAGRAMS_AT_ONCE {
            match self.ports.try_receive() {
                Ok(Some(arrived)) => self.take_datagram(arrived),
                Ok(None) => break,
                Err(error) => return broken(&error),
            }
        }
        Flow::On
    }

    fn take_datagram(&mut self, arrived: Arrived) {
        let now = self.timers.now();
        let Life { opener, sealer, .. } = &mut self.life;
        match self.gate.judge(now, arrived.from, self.ports.bytes(arrived), opener, sealer) {
            Verdict::Opened(opened) => {
                if !self.life.protocol.is_joined() {
                    self.findings.understood(&arrived.from);
                }
                let input = Input::Datagram { from: arrived.from, sender: opened.sender, body: &opened.body };
                self.handle(input);
            }
            Verdict::Refuse(refusal) => self.ports.send(arrived.from, &refusal),
            Verdict::Advised(advice) => self.findings.advised(arrived.from, advice),
            Verdict::Dropped => {}
        }
    }

    fn fire_due(&mut self) {
        let now = self.timers.now();
        while let Some(timer) = self.timers.due(now) {
            self.counts.probes += u64::from(timer == Timer::Probe);
            self.handle(Input::Timer(timer));
        }
    }

    /// The core answers at once or not at all; not answering refuses the question.
    fn answer(&mut self, asked: IncomingAsk) {
        let IncomingAsk { from, request, reply, .. } = asked;
        self.life.protocol.handle(
            self.timers.now(),
            Input::Asked { from, ask: AskId(0), request: &request },
            &mut self.effects,
        );
        if let Some((_, answer)) = self.effects.replies.pop() {
            self.counts.answers += 1;
            reply.send(answer.into());
        }
        self.carry_out();
    }

    fn take_done(&mut self, done: Done) {
        match done {
            Done::Asked { ask, at, answer } => {
                self.under_way.asks -= 1;
                match answer {
                    Ok(_) => self.findings.reached(),
                    Err(_) => {
                        self.counts.asks_failed += 1;
                        self.findings.unreachable(at);
                    }
                }
                self.handle(Input::Answered { ask, answer: answer.as_deref().map_err(|failed| *failed) });
            }
            Done::Shipped => self.under_way.ships -= 1,
            Done::Resolved(resolved) => self.take_resolved(resolved),
            Done::Saved(saved) => {
                self.under_way.saving = false;
                if let Err(error) = saved {
                    tracing::warn!(%error, "members are not remembered");
                }
            }
            Done::StreamsClosed => {}
        }
    }

    /// What has changed since the last time, for readers; not before they had time to look at the last view, unless its
    /// change was asked for.
    fn publish(&mut self, is_asked_for: bool) {
        if !self.draft.has_changed() && self.events.is_empty() {
            return;
        }
        let now = self.timers.now();
        let next = self.published.after(LOOK_AT_MEMBER.saturating_mul(self.draft.members()));
        if now < next && !is_asked_for {
            return self.timers.nudge(Some(next));
        }
        self.timers.nudge(None);
        self.published = now;
        let protocol = &self.life.protocol;
        if let Some(view) = self.draft.publish(|| protocol.digest()) {
            self.counts.views += 1;
            self.shared.view.store(Arc::clone(&view));
            self.shared.views.send_replace(view);
        }
        for event in self.events.drain(..) {
            // Nobody may be listening.
            let _ = self.shared.events.send(event);
        }
    }

    /// What the user is told about joining, as things stand.
    pub(super) fn tell_join_state(&mut self) {
        let state = if self.life.protocol.is_joined() {
            JoinState::Joined
        } else {
            JoinState::Seeking(self.findings.obstacle(&self.config.mesh))
        };
        self.shared.join.send_if_modified(|told| {
            let changed = *told != state;
            *told = state;
            changed
        });
    }

    fn has_left(&self) -> bool {
        let told = self.life.protocol.rumours() == 0;
        self.leaving.as_ref().is_some_and(|leaving| told || self.now() >= leaving.until)
    }
}

/// Waits for something over QUIC. Dropping the future loses nothing.
async fn arrival(all: &mut [Arrivals]) -> Wake {
    std::future::poll_fn(|context| {
        for arrivals in &mut *all {
            if let Poll::Ready(Some(asked)) = arrivals.asks.poll_recv(context) {
                return Poll::Ready(Wake::Asked(asked));
            }
            if let Poll::Ready(Some(shipped)) = arrivals.ships.poll_recv(context) {
                return Poll::Ready(Wake::Shipped(shipped));
            }
            if let Poll::Ready(Some(member)) = arrivals.refusals.poll_recv(context) {
                return Poll::Ready(Wake::Refused(member));
            }
        }
        Poll::Pending
    })
    .await
}

fn broken(error: &std::io::Error) -> Flow {
    error!(%error, "the gossip socket is broken: the node stops");
    Flow::Stop
}
