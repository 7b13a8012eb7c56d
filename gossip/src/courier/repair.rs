//! The courier's task: takes one thing at a time from the inbox, lets the guard and chitchat at it, hands out the rest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chitchat::{ChitchatMessage, Deserializable, Serializable};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::address::Name;
use super::chamber::{Chamber, Died};
use super::guard::{self, Cleaned, Refused, Rules, Step};
use super::inbox::{Shared, Work};
use super::{CourierConfig, FromCourier, format};
use crate::alive::Alive;
use crate::id::MemberId;

/// Restarts after a death, per minute. More than that is a defect that restarting does not mend.
const RESTARTS_PER_MINUTE: usize = 5;

const MINUTE: Duration = Duration::from_secs(60);

/// How long an answer may take before it no longer counts as one.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long chitchat may go on carrying members that are not in the roster.
const SWEEP_AFTER: Duration = Duration::from_secs(60);

/// What we owe and are owed, so that nobody answers what was not asked and nobody asks all the time. Holds at most two
/// answers and one question of each member.
#[derive(Debug, Default)]
struct Exchanges {
    /// Until when a step is expected from a member.
    expected: BTreeMap<(MemberId, Step), Instant>,
    /// Until when a member is to wait before it asks again.
    served: BTreeMap<MemberId, Instant>,
}

impl Exchanges {
    fn check(&self, from: MemberId, step: Step, now: Instant) -> Result<(), Refused> {
        match step {
            Step::Syn if self.served.get(&from).is_some_and(|until| now < *until) => Err(Refused::TooOften),
            Step::Syn => Ok(()),
            Step::SynAck | Step::Ack => match self.expected.get(&(from, step)) {
                Some(until) if now < *until => Ok(()),
                _ => Err(Refused::Unasked),
            },
        }
    }

    fn expect(&mut self, from: MemberId, step: Step, now: Instant) {
        self.expected.retain(|_, until| now < *until);
        self.expected.insert((from, step), now + ANSWER_WITHIN);
    }

    fn took(&mut self, from: MemberId, step: Step, now: Instant, gap: Duration) {
        match step {
            Step::Syn => {
                self.served.retain(|_, until| now < *until);
                self.served.insert(from, now + gap);
            }
            Step::SynAck | Step::Ack => {
                self.expected.remove(&(from, step));
            }
        }
    }
}

/// Why chitchat holds a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The roster has the member.
    Admitted(MemberId),
    /// It has been in the roster, or its record came by and nobody has admitted it yet.
    Guest,
}

pub(super) struct Repair {
    config: CourierConfig,
    own: Name,
    cluster: String,
    shared: Arc<Shared>,
    output: mpsc::Sender<FromCourier>,
    started: Instant,
    chamber: Option<Chamber>,
    /// Everything chitchat holds a state of.
    held: BTreeMap<Name, Standing>,
    sweep_at: Option<Instant>,
    exchanges: Exchanges,
    deaths: VecDeque<Instant>,
}

impl Drop for Repair {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Repair {
    pub(super) fn new(config: CourierConfig, shared: Arc<Shared>, output: mpsc::Sender<FromCourier>) -> Self {
        let own = Name::of(config.own);
        let cluster = config.mesh.0.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            config,
            own,
            cluster,
            shared,
            output,
            started: Instant::now(),
            chamber: None,
            held: BTreeMap::new(),
            sweep_at: None,
            exchanges: Exchanges::default(),
            deaths: VecDeque::new(),
        }
    }

    pub(super) async fn run(mut self) {
        while !self.output.is_closed() {
            match self.shared.next() {
                Some(work) => self.work(work).await,
                None => self.shared.wake.notified().await,
            }
        }
    }

    async fn work(&mut self, work: Work) {
        if self.sweep_at.is_some_and(|at| at <= Instant::now()) {
            self.sweep();
        }
        match work {
            Work::Carry(name, alive) => self.carry(name, &alive).await,
            Work::Forget(name) => self.seat_guest(name),
            Work::Read { from, bytes } => {
                if let Err(refused) = self.read(from, &bytes).await {
                    tracing::debug!(%from, %refused, "message turned away");
                    self.shared.lock().counts.refuse(refused);
                }
            }
            Work::Ask(member) => {
                if let Err(refused) = self.ask(member).await {
                    tracing::debug!(%member, %refused, "no exchange");
                    self.shared.lock().counts.refuse(refused);
                }
            }
            #[cfg(test)]
            Work::Kill => self.chamber.iter().for_each(Chamber::kill),
        }
    }

    async fn carry(&mut self, name: Name, alive: &Alive) {
        if self.held.len() >= self.config.limits.members && !self.held.contains_key(&name) {
            // Only guests can be in the way: the roster alone keeps within the limit.
            self.sweep();
        }
        self.held.insert(name, Standing::Admitted(alive.id()));
        if let Some(chamber) = &self.chamber {
            chamber.carry(name, alive).await;
        }
    }

    fn seat_guest(&mut self, name: Name) {
        self.held.insert(name, Standing::Guest);
        self.sweep_at.get_or_insert_with(|| Instant::now() + SWEEP_AFTER);
    }

    /// Drops chitchat with everything it holds; it starts from the roster when it is needed next.
    fn sweep(&mut self) {
        self.sweep_at = None;
        if self.held.values().any(|standing| *standing == Standing::Guest) {
            self.chamber = None;
            self.held.retain(|_, standing| *standing != Standing::Guest);
            self.shared.lock().counts.sweeps += 1;
        }
    }

    async fn ask(&mut self, member: MemberId) -> Result<(), Refused> {
        let name = self.admitted(member)?;
        let permit = self.output.clone().try_reserve_owned().map_err(|_| Refused::Busy)?;
        let opening = match self.chamber().await?.open(name).await {
            Ok(opening) => opening,
            // It may have died long ago, with nobody to notice.
            Err(Died) => {
                self.bury();
                self.chamber().await?.open(name).await.map_err(|Died| self.bury())?
            }
        };
        permit.send(self.packed(member, &opening));
        self.exchanges.expect(member, Step::SynAck, Instant::now());
        self.shared.lock().counts.asked += 1;
        Ok(())
    }

    async fn read(&mut self, from: MemberId, bytes: &[u8]) -> Result<(), Refused> {
        let name = self.admitted(from)?;
        let message = format::inflate(bytes)?;
        let step = guard::step(&message)?;
        let now = Instant::now();
        self.exchanges.check(from, step, now)?;
        // Reserved first: what chitchat has read is never told again, so the core must not miss it.
        let output = self.output.clone();
        let mut permits = output.try_reserve_many(2).map_err(|_| Refused::Busy)?;
        let Cleaned { bytes, alive, newcomers, .. } = self.inspect(&message)?;
        let cleaned = ChitchatMessage::deserialize(&mut &bytes[..]).map_err(|_| Refused::Malformed)?;
        self.chamber().await?;
        self.exchanges.took(from, step, now, self.config.limits.gap);
        for newcomer in newcomers {
            self.seat_guest(newcomer);
        }
        if let (false, Some(permit)) = (alive.is_empty(), permits.next()) {
            permit.send(FromCourier::Learnt(alive));
        }
        let answer = match self.chamber().await?.feed(name, cleaned).await {
            Ok(answer) => answer,
            Err(Died) => return Err(self.bury()),
        };
        if let (Some(answer), Some(permit)) = (answer, permits.next()) {
            if step == Step::Syn {
                self.exchanges.expect(from, Step::Ack, now);
                self.shared.lock().counts.answered += 1;
            }
            permit.send(self.packed(from, &answer));
        }
        Ok(())
    }

    fn inspect(&self, message: &[u8]) -> Result<Cleaned, Refused> {
        let admitted = |name: &Name| match self.held.get(name) {
            Some(Standing::Admitted(member)) => Some(*member),
            Some(Standing::Guest) | None => None,
        };
        let verify = |record: &[u8]| Alive::verify(record, self.config.mesh, &*self.config.verifier).ok();
        let rules = Rules {
            own: self.own,
            cluster: &self.cluster,
            room: self.config.limits.members.saturating_sub(self.held.len()),
            admitted: &admitted,
            verify: &verify,
        };
        let cleaned = guard::inspect(message, &rules)?;
        let mut inbox = self.shared.lock();
        for (reason, count) in &cleaned.filtered {
            *inbox.counts.filtered.entry(*reason).or_default() += count;
        }
        Ok(cleaned)
    }

    fn admitted(&self, member: MemberId) -> Result<Name, Refused> {
        let name = Name::of(member);
        match self.held.get(&name) {
            Some(Standing::Admitted(admitted)) if *admitted == member && name != self.own => Ok(name),
            _ => Err(Refused::Stranger),
        }
    }

    /// The running chitchat, started if need be.
    async fn chamber(&mut self) -> Result<&mut Chamber, Refused> {
        if self.chamber.is_none() {
            let now = Instant::now();
            self.deaths.retain(|death| now < *death + MINUTE);
            if self.deaths.len() > RESTARTS_PER_MINUTE {
                return Err(Refused::Down);
            }
            let roster = self.shared.lock().roster();
            self.held = roster.iter().map(|(name, alive)| (*name, Standing::Admitted(alive.id()))).collect();
            self.sweep_at = None;
            let age = now.duration_since(self.started);
            match Chamber::start(self.own, &self.cluster, &roster, age).await {
                Ok(chamber) => self.chamber = Some(chamber),
                Err(Died) => return Err(self.bury()),
            }
        }
        self.chamber.as_mut().ok_or(Refused::Down)
    }

    /// Takes note of a death. The next use starts anew, from the roster.
    fn bury(&mut self) -> Refused {
        self.chamber = None;
        self.deaths.push_back(Instant::now());
        self.shared.lock().counts.deaths += 1;
        if self.deaths.len() > RESTARTS_PER_MINUTE {
            tracing::error!("chitchat keeps dying; alive records are not repaired for up to a minute");
        } else {
            tracing::warn!("chitchat has died; it is started again from the roster");
        }
        Refused::Down
    }

    fn packed(&self, to: MemberId, message: &ChitchatMessage) -> FromCourier {
        let bytes = format::deflate(&message.serialize_to_vec());
        self.shared.lock().counts.sent_bytes += bytes.len() as u64;
        FromCourier::Send { to, bytes }
    }
}
