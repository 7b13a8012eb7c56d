//! The callee's end: takes calls off their streams, has them run, sends back what comes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use mesh_gossip::Gossip;
use mesh_gossip::gossip::RegisterError;
use mesh_gossip::transport::quic::{Handler, MemberStream, Reset, Work};
use quinn::{RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::intake::{Intake, NoCall};
use super::receipts::{Receipt, Receipts};
use super::{CALLS, PULSES, code_of, frame, pulse};
use crate::context::{Origin, Outlet, Update};
use crate::run::{Arrival, Dispatch};
use crate::tool::{Fault, FaultKind, Payload};

/// The most pulse streams; a member has one.
const MAX_PULSES: usize = 4_096;

/// How many updates a tool may be ahead of what the connection takes.
const UPDATES_AHEAD: usize = 8;

/// How long a run goes on after its caller's connection broke: the caller may come back for the result.
const RETURN: Duration = Duration::from_secs(2);

/// How long a run may clean up once it was told that it is cancelled.
const CLEAN_UP: Duration = Duration::from_secs(1);

/// How long after its deadline a call may still hold its stream.
const AFTER_DEADLINE: Duration = Duration::from_secs(1);

/// How long a result may take to be sent when its call has no deadline.
const SENDING: Duration = Duration::from_secs(600);

/// How much a node serves at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// The most calls. Default 1,024.
    pub calls: usize,
    /// The most bytes of arguments that all of them hold. Default 256 MiB.
    pub argument_bytes: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { calls: 1_024, argument_bytes: 256 << 20 }
    }
}

/// Calls being served. Dropping it ends them all, as a crash would; [`Server::drain`] lets them finish.
pub struct Server {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    dispatch: Arc<dyn Dispatch>,
    limits: ServeLimits,
    places: Arc<Semaphore>,
    pulses: Arc<Semaphore>,
    intake: Arc<Intake>,
    is_draining: AtomicBool,
    calls: TaskTracker,
    receipts: Arc<Receipts>,
    stop: CancellationToken,
}

/// Serves the calls of other nodes from now on: `dispatch` runs them.
///
/// # Errors
/// [`RegisterError`] when calls are served already, or the gossip node has stopped.
pub async fn serve(gossip: &Gossip, dispatch: Arc<dyn Dispatch>, limits: ServeLimits) -> Result<Server, RegisterError> {
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared {
        dispatch,
        limits,
        places: Arc::new(Semaphore::new(limits.calls)),
        pulses: Arc::new(Semaphore::new(MAX_PULSES)),
        intake: Intake::new(limits.argument_bytes),
        is_draining: AtomicBool::new(false),
        calls: TaskTracker::new(),
        receipts: Arc::default(),
        stop: stop.clone(),
    });
    let tell = Arc::clone(&shared.receipts).tell(Arc::clone(&shared.dispatch));
    tokio::spawn(stop.clone().run_until_cancelled_owned(tell));
    let entrance = |take: fn(&Arc<Shared>, MemberStream) -> Option<Work>| {
        Arc::new(Entrance { shared: Arc::downgrade(&shared), take })
    };
    gossip.hand_to(CALLS, entrance(Shared::admit)).await?;
    gossip.hand_to(PULSES, entrance(Shared::answer_pulses)).await?;
    Ok(Server { shared, _stop: stop.drop_guard() })
}

impl Server {
    /// Refuses new calls from now on ([`FaultKind::Draining`]) and waits for those under way, at most for `patience`. What
    /// still runs then ends when the server is dropped. Dropping the future leaves it refusing.
    pub async fn drain(&self, patience: Duration) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        self.shared.calls.close();
        // Whoever is not done by then is cut off, which is what the bound is for.
        let _ = timeout(patience, self.shared.calls.wait()).await;
    }

    /// How many calls are under way, those included whose result has not been acknowledged.
    pub fn under_way(&self) -> usize {
        self.shared.calls.len()
    }

    /// How many bytes of arguments they hold.
    pub fn held_bytes(&self) -> usize {
        self.shared.intake.held_bytes()
    }
}

/// Takes the streams of one kind, while there is a server.
struct Entrance {
    shared: Weak<Shared>,
    take: fn(&Arc<Shared>, MemberStream) -> Option<Work>,
}

impl Handler for Entrance {
    fn take(&self, stream: MemberStream) -> Result<Option<Work>, (Reset, Box<MemberStream>)> {
        match self.shared.upgrade() {
            Some(shared) => Ok((self.take)(&shared, stream)),
            None => Err((Reset::UnknownKind, Box::new(stream))),
        }
    }

    fn is_closed(&self) -> bool {
        self.shared.strong_count() == 0
    }
}

impl Shared {
    fn admit(self: &Arc<Self>, stream: MemberStream) -> Option<Work> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let limit = self.limits.calls;
            refuse(stream, Fault::new(FaultKind::Overloaded, format!("{limit} calls are under way here")));
            return None;
        };
        let stop = self.stop.clone();
        // Boxed it is not copied into each of the futures around it: it takes kilobytes.
        let call = Box::pin(serve_one(Arc::clone(self), stream, place));
        Some(Box::pin(self.calls.track_future(async move {
            stop.run_until_cancelled(call).await;
        })))
    }

    fn answer_pulses(self: &Arc<Self>, stream: MemberStream) -> Option<Work> {
        // A member without a place takes us for one that does not answer pulses.
        let place = Arc::clone(&self.pulses).try_acquire_owned().ok()?;
        let stop = self.stop.clone();
        let answer = async move {
            pulse::answer(stream).await;
            drop(place);
        };
        Some(Box::pin(async move {
            stop.run_until_cancelled(answer).await;
        }))
    }
}

/// Tells the caller why its call will not be looked at, without waiting for anything.
fn refuse(mut stream: MemberStream, fault: Fault) {
    let mut answer = Answer(Some(&mut stream.send));
    if let Some(Ok(())) = answer.end(Err(fault)).now_or_never() {
        // Fails only when all has come already.
        let _ = stream.receive.stop(code_of(Reset::Busy));
    }
}

async fn serve_one(shared: Arc<Shared>, mut stream: MemberStream, place: OwnedSemaphorePermit) {
    let member = stream.member;
    let mut answer = Answer(Some(&mut stream.send));
    let mut gone = Box::pin(answer.gone());
    match shared.intake.read(&mut stream.receive).await {
        Err(NoCall::Gone) => {}
        Err(NoCall::Refused(fault)) => {
            tracing::debug!(?member, %fault, "a call was refused");
            // The caller may have gone; and what else it sends is of no use.
            let _ = timeout(CLEAN_UP, answer.end(Err(fault))).await;
            stop(&mut stream.receive);
        }
        Ok((envelope, arguments, held)) => {
            // One that is under way may be sent again, on another connection.
            if shared.is_draining.load(Ordering::Relaxed) && !shared.dispatch.knows(&(member, envelope.id)) {
                tracing::debug!(?member, call = ?envelope.id, "a call came while this agent leaves");
                let fault = Fault::new(FaultKind::Draining, "the agent is leaving");
                let _ = timeout(CLEAN_UP, answer.end(Err(fault))).await;
                return;
            }
            let (attempt, key) = (envelope.attempt, (member, envelope.id));
            tracing::trace!(?member, call = ?envelope.id, attempt, tool = &*envelope.tool, "a call came");
            let cancelled = CancellationToken::new();
            let scope = envelope.scope();
            let until = scope.deadline.map(|deadline| deadline + AFTER_DEADLINE);
            let (outlet, updates) = match envelope.listens {
                true => {
                    let (queue, updates) = mpsc::channel(UPDATES_AHEAD);
                    (Outlet::to(queue), Some(updates))
                }
                false => (Outlet::closed(), None),
            };
            let arrival = Arrival {
                id: envelope.id,
                agent: envelope.agent,
                tool: envelope.tool,
                arguments,
                scope,
                origin: Origin::Member(member),
                outlet,
                cancelled: cancelled.clone(),
                client: None,
            };
            let guard = cancelled.clone().drop_guard();
            let served = run(&*shared.dispatch, arrival, updates, answer, until);
            let is_answered = until_gone(served, gone.as_mut(), &cancelled).await;
            guard.disarm();
            drop((held, place));
            if is_answered {
                let under_way = shared.calls.token();
                shared.receipts.follow(Receipt { call: key, gone, _stream: stream, _under_way: under_way });
            }
        }
    }
}

/// Follows a run to its end, or to its caller's. Says whether the caller was there to the end.
async fn until_gone(
    run: impl Future<Output = ()>,
    gone: impl Future<Output = Gone>,
    cancelled: &CancellationToken,
) -> bool {
    tokio::pin!(run);
    let why = tokio::select! {
        biased;
        () = &mut run => return true,
        why = gone => why,
    };
    if why == Gone::Lost && timeout(RETURN, &mut run).await.is_ok() {
        return false;
    }
    cancelled.cancel();
    // Whoever does not heed it is dropped.
    let _ = timeout(CLEAN_UP, &mut run).await;
    false
}

async fn run(
    dispatch: &dyn Dispatch,
    arrival: Arrival,
    updates: Option<mpsc::Receiver<Update>>,
    mut answer: Answer<'_>,
    until: Option<Instant>,
) {
    let outcome = match updates {
        None => dispatch.run(arrival).await,
        Some(updates) => {
            let done = CancellationToken::new();
            let run = async {
                let outcome = dispatch.run(arrival).await;
                done.cancel();
                outcome
            };
            let (outcome, passed_on) = tokio::join!(run, answer.pass_on(updates, &done));
            passed_on.and(outcome)
        }
    };
    let until = until.unwrap_or_else(|| Instant::now() + SENDING);
    // The caller may have gone, or never read; both only matter to itself.
    let _ = timeout_at(until, answer.end(outcome)).await;
}

/// How a caller went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It has the result, or said that it wants none.
    GaveUp,
    /// The connection to it broke.
    Lost,
}

/// What we send. Unless it comes to its end, the caller learns that it is cut short: a stream that is merely dropped
/// looks complete.
struct Answer<'a>(Option<&'a mut SendStream>);

impl Answer<'_> {
    /// Ends when the caller does not want the answer any more, or has all of it.
    fn gone(&self) -> impl Future<Output = Gone> + Send + 'static {
        let stopped = self.0.as_ref().map(|send| send.stopped());
        async move {
            match stopped {
                Some(stopped) => match stopped.await {
                    Ok(_) => Gone::GaveUp,
                    Err(_) => Gone::Lost,
                },
                None => Gone::GaveUp,
            }
        }
    }

    /// Sends updates as fast as the caller takes them, until the run is `done` and none is left.
    async fn pass_on(&mut self, mut updates: mpsc::Receiver<Update>, done: &CancellationToken) -> Result<(), Fault> {
        let Some(send) = &mut self.0 else { return Ok(()) };
        let mut failed = None;
        loop {
            let update = tokio::select! {
                biased;
                update = updates.recv() => update,
                () = done.cancelled(), if !updates.is_closed() => {
                    updates.close();
                    continue;
                }
            };
            let Some(update) = update else { return failed.map_or(Ok(()), Err) };
            match frame::update(update) {
                // A caller that stopped the stream is noticed elsewhere.
                Ok(mut parts) if failed.is_none() => drop(send.write_all_chunks(&mut parts).await),
                Ok(_) => {}
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
    }

    async fn end(&mut self, outcome: Result<Payload, Fault>) -> Result<(), WriteError> {
        let mut parts = frame::outcome(outcome);
        if let Some(send) = &mut self.0 {
            super::yield_way(send, parts[1].len());
            send.write_all_chunks(&mut parts).await?;
            // Fails only for a stream that has ended already.
            let _ = send.finish();
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if let Some(send) = &mut self.0 {
            // Fails only for a stream that has ended already.
            let _ = send.reset(code_of(Reset::Cancelled));
        }
    }
}

fn stop(receive: &mut RecvStream) {
    // Fails only when all has come already.
    let _: Result<(), _> = receive.stop(VarInt::from_u32(Reset::TooLong as u32));
}
