//! Asking one member whether it is there, directly and through others, until it answers or its silence is proven.

use crate::config::{Config, Doctrine};
use crate::id::MemberId;
use crate::moment::Moment;

/// Why a member is asked; its silence means something else each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The routine probe. Silence: suspect it.
    Round,
    /// The confirm round after a suspicion. Silence: accuse it of death.
    Confirm,
    /// Somebody accused it of death. Silence: agree.
    Hearsay,
    /// We just heard of it. Silence: forget it.
    Newcomer,
    /// It is dead to us, perhaps only cut off. Silence: nothing.
    Reunion,
}

/// What one stage of an inquiry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Ping the member itself.
    Direct,
    /// Ask others to ping it (SWIM's ping-req).
    Indirect,
    /// Both at once.
    Both,
}

/// A running inquiry.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Who is asked after.
    pub member: MemberId,
    /// Why.
    pub purpose: Purpose,
    /// Which stage runs, counted from 0.
    pub stage: u8,
    /// When it was (or is to be) sent.
    pub sent: Moment,
    /// When the running stage is over.
    pub due: Moment,
    /// The nonces that relayed answers carry, one for each try through others.
    pub relay_nonces: Vec<u64>,
    /// How many helpers were asked in all.
    pub helpers: usize,
    /// How many of them said that they at least are there.
    pub nacks: usize,
}

impl Inquiry {
    /// An inquiry to start at `start`.
    pub fn new(member: MemberId, purpose: Purpose, start: Moment) -> Self {
        Self { member, purpose, stage: 0, sent: start, due: start, relay_nonces: Vec::new(), helpers: 0, nacks: 0 }
    }

    /// What stage number `stage` of an inquiry does; `None` when silence is proven.
    pub fn plan(purpose: Purpose, stage: u8, config: &Config) -> Option<Stage> {
        let plain = config.doctrine == Doctrine::Plain;
        match purpose {
            Purpose::Round if stage >= config.probe_tries => None,
            Purpose::Round if stage == 0 => Some(Stage::Direct),
            // SWIM asks others once; a second direct try beside them is what spares a lossy network most suspicions.
            Purpose::Round if plain => Some(Stage::Indirect),
            Purpose::Round if stage == 1 => Some(Stage::Both),
            Purpose::Round => Some(Stage::Direct),
            Purpose::Confirm => (stage < config.confirm_tries).then_some(Stage::Both),
            Purpose::Hearsay => (stage < config.hearsay_tries).then_some(Stage::Direct),
            Purpose::Newcomer if stage < 3 => Some(Stage::Direct),
            Purpose::Newcomer => (stage < 5).then_some(Stage::Both),
            Purpose::Reunion => (stage == 0).then_some(Stage::Direct),
        }
    }

    /// Nothing heard so far counts: we were not listening. Starts over at its first stage.
    pub fn restart(&mut self, now: Moment) {
        *self = Self::new(self.member, self.purpose, now);
    }
}
