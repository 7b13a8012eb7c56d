//! One member's being suspect: since when, by whom, and for how much longer.

use std::time::Duration;

use crate::id::MemberId;
use crate::moment::Moment;

/// Whose failed probe a suspicion rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Ours: when time is up it is for us to confirm and to accuse.
    Own,
    /// Only others': we wait for their verdict, and look ourselves when it does not come.
    Hearsay,
}

/// A running suspicion. Its clock starts at the first accusation heard; independent confirmations shorten it.
#[derive(Clone, Debug)]
pub struct Suspicion {
    /// When the first accusation was heard.
    pub since: Moment,
    /// Tells this suspicion's timers from those of earlier ones.
    pub epoch: u32,
    /// Whose probe failed.
    pub evidence: Evidence,
    accusers: Vec<MemberId>,
}

impl Suspicion {
    /// The first accusation.
    pub fn new(since: Moment, epoch: u32, evidence: Evidence, accuser: MemberId) -> Self {
        Self { since, epoch, evidence, accusers: vec![accuser] }
    }

    /// Another accusation. Whether it is an independent confirmation that still shortens the suspicion.
    pub fn confirm(&mut self, accuser: MemberId, wanted: usize) -> bool {
        if self.accusers.len() > wanted || self.accusers.contains(&accuser) {
            return false;
        }
        self.accusers.push(accuser);
        true
    }

    /// How many others have confirmed the first accusation.
    pub fn confirmations(&self) -> usize {
        self.accusers.len() - 1
    }

    /// When time is up, if the suspicion lasts `lasts`.
    pub fn due(&self, lasts: Duration) -> Moment {
        self.since.after(lasts)
    }
}
