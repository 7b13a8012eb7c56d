//! What a caller knows about the members it calls: whether they answer, and whether they are still there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mesh_gossip::gossip::{Event, EventsError, View};
use mesh_gossip::id::{Generation, Session};
use mesh_gossip::{Gossip, MemberId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::attempt::{Cause, Silence};
use super::pulse;

/// From this size on arguments are bulk, which keeps both ends and the way between them busy.
const BULK_BYTES: usize = 1 << 20;

/// The caller's end of the calls to all members. Cheap to clone; the last clone ends what runs for them.
#[derive(Clone)]
pub struct Lines {
    pub(super) shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

pub(super) struct Shared {
    pub(super) gossip: Arc<Gossip>,
    lines: Mutex<BTreeMap<MemberId, Arc<Line>>>,
    /// Counts what [`Lines::changes`] tells.
    changes: watch::Sender<u64>,
    stop: CancellationToken,
}

/// One life of one member, as a callee.
pub(super) struct Line {
    pub(super) member: MemberId,
    life: (Generation, Session),
    verdict: watch::Sender<Verdict>,
    calls: AtomicUsize,
    /// Those of them that send much.
    bulk: AtomicUsize,
    is_pulsed: AtomicBool,
    born: Instant,
    /// When the member last said something, in microseconds after `born`; 0 is never.
    heard: AtomicU64,
    changes: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    /// How often the member was found silent.
    silences: u64,
    /// It was, and nothing was heard since.
    is_silent: bool,
    /// Gossip says that this life is over.
    is_gone: bool,
}

/// A call that is under way to a member, for as long as this lives.
pub(super) struct UnderWay {
    line: Arc<Line>,
    is_bulk: bool,
}

/// Waits for the member of one call to be lost.
pub(super) struct Loss {
    verdict: watch::Receiver<Verdict>,
    silences: u64,
}

impl Lines {
    /// The way to the other members of `gossip`. Must be called inside a tokio runtime.
    pub fn new(gossip: Arc<Gossip>) -> Self {
        let stop = CancellationToken::new();
        let changes = watch::Sender::new(0);
        let shared = Arc::new(Shared { gossip, lines: Mutex::default(), changes, stop: stop.clone() });
        tokio::spawn(stop.clone().run_until_cancelled_owned(follow(Arc::clone(&shared))));
        Self { shared, _stop: Arc::new(stop.drop_guard()) }
    }

    /// Whether `member` has stopped answering while calls were under way to it, and has not answered since. It is
    /// asked again and again until it answers or gossip gives it up.
    pub fn is_silent(&self, member: &MemberId) -> bool {
        self.shared.lines().get(member).is_some_and(|line| line.is_silent())
    }

    /// Woken whenever the answer of [`Lines::is_silent`] changes for some member. The value only grows.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// How many attempts are under way to `member`.
    pub fn under_way(&self, member: &MemberId) -> usize {
        self.shared.lines().get(member).map_or(0, |line| line.calls())
    }
}

impl Shared {
    /// The line to `member`; none when gossip does not know it as part of the mesh.
    pub(super) fn line_to(&self, member: MemberId) -> Option<Arc<Line>> {
        if let Some(line) = self.lines().get(&member) {
            return Some(Arc::clone(line));
        }
        let life = life_of(&self.gossip.view(), &member)?;
        let line = Arc::new(Line::new(member, life, self.changes.clone()));
        let line = Arc::clone(self.lines().entry(member).or_insert(line));
        // It may have gone before we followed it; from now on we hear of it.
        self.sort_out(Some(member));
        Some(line)
    }

    /// Ends the lines to lives that are over: of one member, or of all.
    fn sort_out(&self, member: Option<MemberId>) {
        let view = self.gossip.view();
        let is_over = |line: &Line| life_of(&view, &line.member) != Some(line.life);
        self.lines().retain(|id, line| {
            let is_over = member.is_none_or(|member| member == *id) && is_over(line);
            if is_over {
                line.found_gone();
            }
            !is_over
        });
    }

    /// The system says that nobody listens where `member` was. Every call to it learns that, and the next ones go elsewhere.
    fn refused(&self, member: &MemberId) {
        if let Some(line) = self.lines().get(member) {
            line.found_silent();
        }
    }

    fn end_all(&self) {
        let lines = std::mem::take(&mut *self.lines());
        lines.values().for_each(|line| line.found_gone());
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<MemberId, Arc<Line>>> {
        self.lines.lock().expect("nothing panics while it holds the lines")
    }

    /// Counts a call with arguments of `bytes` to the member of `line`, and has it pulsed.
    pub(super) fn enter(self: &Arc<Self>, line: Arc<Line>, bytes: usize) -> UnderWay {
        line.calls.fetch_add(1, Ordering::SeqCst);
        let is_bulk = bytes >= BULK_BYTES;
        if is_bulk {
            line.bulk.fetch_add(1, Ordering::Relaxed);
        }
        if !line.is_pulsed.swap(true, Ordering::SeqCst) {
            let keep = pulse::keep(Arc::clone(self), Arc::clone(&line));
            tokio::spawn(self.stop.clone().run_until_cancelled_owned(keep));
        }
        UnderWay { line, is_bulk }
    }
}

/// Which life of `member` is part of the mesh.
fn life_of(view: &View, member: &MemberId) -> Option<(Generation, Session)> {
    let life = view.member(member).filter(|member| member.is_live())?.alive().life();
    Some((life.generation, life.session))
}

/// Ends lines as gossip finds that their members are over.
async fn follow(shared: Arc<Shared>) {
    let mut events = shared.gossip.events();
    loop {
        match events.next().await {
            Ok(Event::Member { member, .. } | Event::Forgotten(member)) => shared.sort_out(Some(member)),
            Ok(Event::Refused(member)) => shared.refused(&member),
            Ok(Event::Moved { .. }) | Err(EventsError::Lagged(_)) => shared.sort_out(None),
            Ok(_) => {}
            Err(EventsError::Stopped) => return shared.end_all(),
        }
    }
}

impl Line {
    fn new(member: MemberId, life: (Generation, Session), changes: watch::Sender<u64>) -> Self {
        Self {
            member,
            life,
            verdict: watch::Sender::default(),
            calls: AtomicUsize::new(0),
            bulk: AtomicUsize::new(0),
            is_pulsed: AtomicBool::new(false),
            born: Instant::now(),
            heard: AtomicU64::new(0),
            changes,
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn has_bulk(&self) -> bool {
        self.bulk.load(Ordering::Relaxed) > 0
    }

    pub(super) fn is_silent(&self) -> bool {
        self.verdict.borrow().is_silent
    }

    pub(super) fn is_gone(&self) -> bool {
        self.verdict.borrow().is_gone
    }

    /// When the member last said something.
    pub(super) fn heard(&self) -> Option<Instant> {
        let after = self.heard.load(Ordering::Relaxed);
        (after > 0).then(|| self.born + Duration::from_micros(after))
    }

    /// The member said something.
    pub(super) fn hear(&self) {
        let after = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.heard.store(after, Ordering::Relaxed);
        if self.is_silent() {
            self.verdict.send_modify(|verdict| verdict.is_silent = false);
            self.changes.send_modify(|count| *count += 1);
        }
    }

    pub(super) fn found_silent(&self) {
        self.verdict.send_modify(|verdict| {
            verdict.silences += 1;
            verdict.is_silent = true;
        });
        self.changes.send_modify(|count| *count += 1);
    }

    fn found_gone(&self) {
        self.verdict.send_modify(|verdict| verdict.is_gone = true);
    }

    /// Whoever pulses wants to stop; false when a call has begun meanwhile that nobody else pulses for.
    pub(super) fn rest(&self) -> bool {
        self.is_pulsed.store(false, Ordering::SeqCst);
        self.calls() == 0 || self.is_pulsed.swap(true, Ordering::SeqCst)
    }
}

impl UnderWay {
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Begins to wait for the member's loss.
    pub(super) fn loss(&self) -> Loss {
        let verdict = self.line.verdict.subscribe();
        let silences = verdict.borrow().silences;
        Loss { verdict, silences }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_bulk {
            self.line.bulk.fetch_sub(1, Ordering::Relaxed);
        }
        self.line.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Loss {
    /// Ends when the member is gone, or has been found silent since we began and that counts.
    pub(super) async fn comes(&mut self, silence: Silence) -> Cause {
        let silences = self.silences;
        let lost = self
            .verdict
            .wait_for(|verdict| verdict.is_gone || (silence == Silence::Ends && verdict.silences > silences));
        match lost.await {
            Ok(verdict) if !verdict.is_gone => Cause::Silent,
            // The sender lives as long as the line, which we hold.
            _ => Cause::Gone,
        }
    }
}
