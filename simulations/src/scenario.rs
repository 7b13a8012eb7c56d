//! A scenario: how many members, what network, which faults when, and what must hold. Written in TOML, checked before
//! anything runs.

pub mod text;
mod written;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::network::Weather;
use text::{Group, Preset};

/// A checked scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Members from the start.
    pub members: u32,
    /// How many of them, from the first on, are seeds.
    pub seeds: u32,
    /// Which preset the core runs with.
    pub preset: Preset,
    /// How the world begins.
    pub start: Start,
    /// How long it runs.
    pub runs_for: Duration,
    /// Records every member offers from the start, and the bytes of each.
    pub records: (u32, usize),
    /// Members, by number, that provide one capability, which everybody resolves.
    pub providers: Range<u32>,
    /// What a host needs for every packet it receives.
    pub packet_cost: Duration,
    /// Whether chitchat repairs alive records, as it does in a real node.
    pub courier: bool,
    /// What the network is like.
    pub weather: Weather,
    /// What happens, in order of time.
    pub faults: Vec<(Duration, Fault)>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    /// A second run to compare with, without what makes the core more than plain SWIM.
    pub compare: Option<Comparison>,
}

/// How a world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Everybody knows everybody.
    Converged,
    /// Seeds start first; the others join, spread over this time.
    Joining(Duration),
}

/// A run of the same scenario without Lifeguard and the confirm round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// How many false deaths plain SWIM must show at least.
    pub plain_at_least: u64,
    /// Ours have at most plain SWIM's divided by this.
    pub ours_at_most_one_in: u64,
}

/// Something that happens to the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The group is cut off from everybody else.
    Partition(Group),
    /// Packets from the first group to the second are lost; the other way they pass.
    OneWay(Group, Group),
    /// All cuts, one-way links, slow and lossy links are gone.
    Heal,
    /// The group goes silent.
    Crash(Group),
    /// The group starts again.
    Restart(Group, KeyOf),
    /// The group starts again one after the other, so far apart, each down for a moment.
    Rolling {
        /// Who.
        who: Group,
        /// From one to the next.
        every: Duration,
        /// How long each is down.
        down: Duration,
    },
    /// The group's processes are paused.
    Stall {
        /// Who.
        who: Group,
        /// For how long.
        time: Duration,
        /// Again and again so far apart, from start to start; `None`: once.
        every: Option<Duration>,
        /// The last pause begins before this.
        until: Duration,
    },
    /// From now on this share of packets is lost.
    Loss(f64),
    /// Everything from and to the group takes longer from now on.
    Delay(Group, Duration),
    /// The group's clocks run fast by so many parts in a million.
    Skew(Group, i64),
    /// Every packet costs the group so much time from now on.
    Slow(Group, Duration),
    /// The group is cut off and back again, over and over.
    Flap {
        /// Who.
        who: Group,
        /// Cut off for.
        down: Duration,
        /// Reachable for.
        up: Duration,
        /// The last cut begins before this.
        until: Duration,
    },
    /// New members join, spread over some time.
    Join(u32, Duration),
    /// The group says goodbye and stops.
    Leave(Group),
    /// Every member of the group changes some of its records.
    Set {
        /// Who.
        who: Group,
        /// How many records.
        records: u32,
        /// The bytes of each.
        bytes: usize,
    },
    /// Again and again a member chosen at random crashes, and comes back after a while.
    Churn {
        /// From one crash to the next.
        every: Duration,
        /// How long each is down.
        down: Duration,
        /// The last crash is before this.
        until: Duration,
    },
}

/// Which key a restarted member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOf {
    /// The one it had.
    Before,
    /// A new one: to others it is somebody else.
    Nobody,
}

/// Something that must hold, or the run has failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// At this time everybody who is up is right about everybody.
    AgreedAt(Duration),
    /// Every crash is known to everybody within this time.
    CrashKnownWithin(Duration),
    /// Every goodbye is known to everybody within this time.
    LeaveKnownWithin(Duration),
    /// Everybody who joined or restarted is known to everybody within this time.
    JoinKnownWithin(Duration),
    /// Every changed record is known to everybody within this time.
    NewsKnownWithin(Duration),
    /// At most so many times a healthy member was taken for dead by somebody.
    FalseDeathsAtMost(u64),
    /// Nobody healthy was taken for dead by anybody for longer than this.
    FalselyDeadAtMost(Duration),
    /// No more bytes a second, on average over members and time.
    BytesPerSecondAtMost(u64),
    /// Whenever providers die, every resolver has dropped them after this time.
    ProvidersGoneWithin(Duration),
}

/// Why a scenario was refused.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {message}")]
#[non_exhaustive]
pub struct Refused {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Scenario {
    /// Reads and checks a scenario. `file` is only used in messages.
    ///
    /// # Errors
    /// [`Refused`] names the line: a name that does not exist (with those that do), a value that cannot be, a fault
    /// that comes after the end.
    pub fn parse(file: &str, toml: &str) -> Result<Self, Refused> {
        written::parse(file, toml)
    }

    /// The same with another number of members; seeds are kept if there are enough.
    #[must_use]
    pub fn with_members(mut self, members: u32) -> Self {
        self.members = members.max(2);
        self.seeds = self.seeds.min(self.members);
        self
    }

    /// Hosts that will exist by the end, late joiners included.
    pub fn most_members(&self) -> u32 {
        let joining = self.faults.iter().map(|(_, fault)| if let Fault::Join(count, _) = fault { *count } else { 0 });
        self.members + joining.sum::<u32>()
    }

    /// Times at which something is expected or happens, for marks in plots.
    pub fn marks(&self) -> BTreeSet<Duration> {
        self.faults.iter().map(|(at, _)| *at).collect()
    }
}

/// A scenario that is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub toml: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// The library.
        pub const LIBRARY: &[Shipped] = &[$(
            Shipped { name: $name, toml: include_str!(concat!("../scenarios/", $name, ".toml")) },
        )*];
    };
}

shipped![
    "asymmetric-link",
    "churn",
    "flash-join",
    "lifeguard",
    "lossy-10",
    "lossy-30",
    "mass-crash",
    "partition-heal",
    "provider-failover",
    "rolling-restart",
    "seed-loss",
    "slow-members",
    "two-islands",
];
