//! One attempt to have one member run one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use mesh_gossip::MemberId;
use mesh_gossip::catalog::AgentId;
use mesh_gossip::transport::quic::{AskError, Close, MemberStream, Reset};
use quinn::{ConnectionError, ReadError, SendStream, VarInt, WriteError};
use tokio::time::{Instant, sleep_until};

use super::envelope::Envelope;
use super::frame::{Frame, FrameError, FrameReader};
use super::lines::{Line, Lines, UnderWay};
use super::{CALLS, CONNECT_BUDGET, code_of, yield_way};
use crate::context::{MAX_PAYLOAD_BYTES, Outlet, Scope};
use crate::run::CallId;
use crate::tool::{Fault, Payload};

/// A call on its way to one member.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Which call: the same for all its attempts, by which a callee knows a repetition.
    pub id: CallId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Which agent of the member is meant; `None` when any that has the tool will do.
    pub agent: Option<AgentId>,
    /// The tool.
    pub tool: Arc<str>,
    /// The text of a JSON object, at most [`MAX_PAYLOAD_BYTES`].
    pub arguments: Bytes,
    /// What travels along. Past its deadline the attempt ends.
    pub scope: Scope,
    /// Where updates go. A listener that takes none brings the tool to a halt.
    pub outlet: Outlet,
    /// What the member's silence means.
    pub silence: Silence,
}

/// What it means that a member stops answering while it runs a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The attempt ends ([`Cause::Silent`]): right for a call that may be repeated elsewhere.
    Ends,
    /// It is waited for until gossip gives the member up, the connection breaks, or the deadline passes.
    Endures,
}

/// Why an attempt has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The call surely did not run. Ask another member, or this one later.
    #[error("the call was not received: {0}")]
    NotReceived(#[from] NotReceived),
    /// The member was lost after the whole call had been sent.
    #[error("{cause}, and {fate}")]
    Broken {
        /// How.
        cause: Cause,
        /// What is known of the call.
        fate: Fate,
    },
    /// The member answered with a fault, whose kind says what to do.
    #[error(transparent)]
    Fault(Fault),
    /// The deadline passed.
    #[error("the deadline passed, and {fate}")]
    TimedOut {
        /// What is known of the call.
        fate: Fate,
    },
    /// It cannot travel; nothing was sent. Send less.
    #[error("{what} of {bytes} bytes is larger than the {limit} that one call carries")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
}

/// Why a call surely did not reach the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReceived {
    /// Gossip does not count the member as part of the mesh.
    #[error("the member is not part of the mesh")]
    NotThere,
    /// There is no connection to it.
    #[error("{0}")]
    Unreachable(AskError),
    /// There is a connection, but too many calls are under way on it.
    #[error("too many calls to the member are under way")]
    NoStream,
    /// The member has more calls waiting than it looks at.
    #[error("the member has too much to do")]
    Busy,
    /// The member takes no calls.
    #[error("the member takes no calls")]
    TakesNone,
    /// The member was lost before the whole call had been sent.
    #[error("{0} before all of the call was sent")]
    CutShort(Cause),
}

/// How a member was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The connection to it broke, or it abandoned the call.
    #[error("the member was lost")]
    Lost,
    /// It does not answer any more; it may come back.
    #[error("the member fell silent")]
    Silent,
    /// Gossip says that it is dead, has left, or is another process by now.
    #[error("the member is gone")]
    Gone,
    /// What it sent back is not an answer.
    #[error("the member sent something that is not an answer")]
    Garbled,
}

/// What is known of a call that has no result, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Not all of it was sent: it did not run.
    Unsent,
    /// Its receipt was not confirmed: most likely it did not run.
    Unconfirmed,
    /// It was received: it may have run.
    Received,
    /// Updates of it have been passed on: a repetition would repeat them.
    Answering,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unsent => "it did not run",
            Self::Unconfirmed => "whether it was received is unknown",
            Self::Received => "it may have run",
            Self::Answering => "it had begun to answer",
        })
    }
}

impl AttemptError {
    /// Whether the tool surely did not run.
    pub fn did_not_run(&self) -> bool {
        match self {
            Self::NotReceived(_) | Self::TooLarge { .. } => true,
            Self::Fault(fault) => fault.kind.did_not_run(),
            Self::Broken { fate, .. } | Self::TimedOut { fate } => *fate == Fate::Unsent,
        }
    }
}

/// How far an exchange got.
#[derive(Default)]
struct Stage(AtomicU8);

impl Stage {
    const SENT: u8 = 1;
    const PASSED_ON: u8 = 2;

    fn reach(&self, stage: u8) {
        self.0.store(stage, Ordering::Relaxed);
    }

    fn fate(&self, stream: &MemberStream) -> Fate {
        match self.0.load(Ordering::Relaxed) {
            0 => Fate::Unsent,
            // With everything confirmed, there is nothing left that could be stopped.
            Self::SENT => match stream.send.stopped().now_or_never() {
                Some(Ok(_)) => Fate::Received,
                Some(Err(_)) | None => Fate::Unconfirmed,
            },
            _ => Fate::Answering,
        }
    }
}

/// How an attempt ended without an answer.
enum End {
    Attempt(AttemptError),
    Lost(Cause),
    /// Its connection was closed in favour of another one, or of none, between two ends that both still live.
    Moved,
    Deadline,
}

impl From<NotReceived> for End {
    fn from(why: NotReceived) -> Self {
        Self::Attempt(why.into())
    }
}

impl Lines {
    /// Has `member` run a call, and waits for the result, at most until the deadline in its scope. Updates go to its
    /// outlet as they come. Dropping the future abandons the call: the member is told, and its tool cancelled.
    ///
    /// A call whose connection is replaced before anything came back is sent once more on the new one; the member knows
    /// it by its id.
    ///
    /// # Errors
    /// [`AttemptError`], by what may be done next.
    pub async fn attempt(&self, member: MemberId, outgoing: Outgoing) -> Result<Payload, AttemptError> {
        let bytes = outgoing.arguments.len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(AttemptError::TooLarge { what: "arguments", bytes, limit: MAX_PAYLOAD_BYTES });
        }
        let line = self.shared.line_to(member).ok_or(NotReceived::NotThere)?;
        let under_way = self.shared.enter(line, bytes);
        let mut may_move = true;
        // What became of it on the first connection.
        let mut before = Fate::Unsent;
        loop {
            let stage = Stage::default();
            let (end, fate) = match self.send_once(&outgoing, &under_way, &stage).await {
                Ok(payload) => return Ok(payload),
                Err(ended) => ended,
            };
            let error = match end {
                End::Moved if may_move && fate != Fate::Answering => {
                    (may_move, before) = (false, fate);
                    continue;
                }
                End::Attempt(error) => error,
                End::Deadline => AttemptError::TimedOut { fate: fate.max(before) },
                End::Lost(cause) if fate == Fate::Unsent => NotReceived::CutShort(cause).into(),
                End::Lost(cause) => AttemptError::Broken { cause, fate: fate.max(before) },
                End::Moved if fate == Fate::Unsent => NotReceived::CutShort(Cause::Lost).into(),
                End::Moved => AttemptError::Broken { cause: Cause::Lost, fate: fate.max(before) },
            };
            // The second time says nothing of the first.
            let is_doubtful = before > Fate::Unsent && error.did_not_run();
            return Err(if is_doubtful { AttemptError::Broken { cause: Cause::Lost, fate: before } } else { error });
        }
    }

    async fn send_once(
        &self,
        outgoing: &Outgoing,
        under_way: &UnderWay,
        stage: &Stage,
    ) -> Result<Payload, (End, Fate)> {
        let line = under_way.line();
        let mut loss = under_way.loss();
        let passed = async {
            match outgoing.scope.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(passed);
        let opened = tokio::select! {
            biased;
            opened = self.shared.gossip.open(line.member, CALLS, CONNECT_BUDGET) => {
                opened.map_err(|error| not_opened(error).into())
            }
            cause = loss.comes(outgoing.silence) => Err(End::Lost(cause)),
            () = &mut passed => Err(End::Deadline),
        };
        let mut stream = opened.map_err(|end| (end, Fate::Unsent))?;
        let outcome = tokio::select! {
            biased;
            outcome = exchange(&mut stream, outgoing, line, stage) => outcome,
            cause = loss.comes(outgoing.silence) => Err(End::Lost(cause)),
            () = &mut passed => Err(End::Deadline),
        };
        outcome.map_err(|end| {
            let fate = stage.fate(&stream);
            give_up(&mut stream);
            (end, fate)
        })
    }
}

async fn exchange(stream: &mut MemberStream, outgoing: &Outgoing, line: &Line, stage: &Stage) -> Result<Payload, End> {
    let head = envelope_of(outgoing).encode().map_err(|long| {
        End::Attempt(AttemptError::TooLarge { what: long.what, bytes: long.bytes, limit: long.limit })
    })?;
    match send_whole(&mut stream.send, [head.into(), outgoing.arguments.clone()], line).await {
        Ok(()) => stage.reach(Stage::SENT),
        // It has no use for the rest, and says why.
        Err(WriteError::Stopped(_)) => {}
        Err(WriteError::ConnectionLost(error)) => return Err(lost(&error)),
        Err(_) => return Err(End::Lost(Cause::Lost)),
    }
    let mut frames = FrameReader::new(&mut stream.receive, || line.hear());
    loop {
        match frames.next().await.map_err(broken)? {
            Frame::Outcome(outcome) => return outcome.map_err(|fault| End::Attempt(AttemptError::Fault(fault))),
            Frame::Update(update) => {
                stage.reach(Stage::PASSED_ON);
                outgoing.outlet.send(update).await;
            }
        }
    }
}

fn envelope_of(outgoing: &Outgoing) -> Envelope {
    let scope = &outgoing.scope;
    Envelope {
        id: outgoing.id,
        attempt: outgoing.attempt,
        agent: outgoing.agent.clone(),
        tool: Arc::clone(&outgoing.tool),
        remaining: scope.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
        trace: scope.trace,
        trace_state: scope.trace_state.clone(),
        session: scope.session.clone(),
        headers: scope.headers.clone(),
        listens: outgoing.outlet.is_open(),
        argument_bytes: outgoing.arguments.len(),
    }
}

/// Sends all of a call and ends our half.
async fn send_whole(send: &mut SendStream, mut parts: [Bytes; 2], line: &Line) -> Result<(), WriteError> {
    yield_way(send, parts[1].len());
    let mut sent = send.write_chunks(&mut parts).await?.chunks;
    while sent < parts.len() {
        sent += send.write_chunks(&mut parts[sent..]).await?.chunks;
        // There was no more room, and now there is: the member took something.
        line.hear();
    }
    // Fails only for a stream that the member stopped; it says why on its own half.
    let _ = send.finish();
    Ok(())
}

fn broken(error: FrameError) -> End {
    match error {
        FrameError::Broken(ReadError::Reset(code)) if code == code_of(Reset::Busy) => NotReceived::Busy.into(),
        FrameError::Broken(ReadError::Reset(code)) if code == code_of(Reset::UnknownKind) => {
            NotReceived::TakesNone.into()
        }
        FrameError::Broken(ReadError::ConnectionLost(error)) => lost(&error),
        FrameError::Broken(_) => End::Lost(Cause::Lost),
        FrameError::Malformed => End::Lost(Cause::Garbled),
    }
}

fn lost(error: &ConnectionError) -> End {
    let moved = [Close::Replaced, Close::Idle, Close::Silent].map(|close| VarInt::from_u32(close as u32));
    match error {
        ConnectionError::ApplicationClosed(close) if moved.contains(&close.error_code) => End::Moved,
        // Closed by us in favour of another one, or idle since another one is used: had we given the member up, its line
        // would be gone.
        ConnectionError::LocallyClosed | ConnectionError::TimedOut => End::Moved,
        _ => End::Lost(Cause::Lost),
    }
}

fn not_opened(error: AskError) -> NotReceived {
    match error {
        // Connecting has an error of its own.
        AskError::TimedOut => NotReceived::NoStream,
        error => NotReceived::Unreachable(error),
    }
}

/// Tells the member that its answer is not wanted any more, and takes back what it has not got.
fn give_up(stream: &mut MemberStream) {
    let code: VarInt = code_of(Reset::Cancelled);
    // Both fail only for a half that has ended already.
    let _ = stream.receive.stop(code);
    let _ = stream.send.reset(code);
}
