//! A whole core in conversation with members that say anything. Bytes are a script: who speaks, how much time has
//! passed, and what was in the datagram. Signatures are taken on trust, so forgeries go as deep as they can.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::alive::{Alive, KeyLife};
use mesh_gossip::config::Config;
use mesh_gossip::effects::{AskFailed, Effects, Input};
use mesh_gossip::id::{Generation, MemberId, PublicKey, Session};
use mesh_gossip::moment::Moment;
use mesh_gossip::packet::MAX_BODY;
use mesh_gossip::protocol::{Protocol, Start};
use mesh_gossip::records::Bounds;
use mesh_gossip::signature::{Signature, Signer};
use mesh_gossip::timer::Timer;

use super::packet;
use super::signed::{Credulous, alive_corpus, mesh};

/// The most steps of a conversation, ours and the clock's together.
const STEPS: usize = 60;

/// Our own key, other than that of the alive records in the corpus.
struct Own;

impl Signer for Own {
    fn public_key(&self) -> PublicKey {
        PublicKey([1; 32])
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([0x11; 64])
    }
}

fn core() -> Protocol {
    let start = Start {
        config: Config::lan(),
        mesh: mesh(),
        signer: Arc::new(Own),
        verifier: Arc::new(Credulous),
        generation: Generation(1),
        session: Session(2),
        addresses: Vec::new(),
        zone: String::new(),
        key_life: KeyLife::Kept,
        operator: Some(PublicKey([7; 32])),
        remembered: Vec::new(),
        bounds: Bounds { records: 20, bytes: 20_000 },
        randomness: [9; 32],
    };
    Protocol::new(start).expect("the preset works")
}

/// A core, its clock, and what it wants to be woken for.
struct Conversation {
    core: Protocol,
    now: Moment,
    timers: BTreeSet<(Moment, Timer)>,
    steps: usize,
}

impl Conversation {
    fn begin() -> Self {
        let mut this = Self { core: core(), now: Moment::ZERO, timers: BTreeSet::new(), steps: 0 };
        let mut effects = Effects::default();
        this.core.begin(this.now, &mut effects);
        let acquaintance = Alive::verify(&alive_corpus()[0], mesh(), &Credulous).expect("genuine");
        this.core.acquaint(this.now, &Arc::new(acquaintance), &[], &mut effects);
        this.take(effects);
        this
    }

    /// Checks what the core wants, and remembers the timers. Every question goes unanswered.
    fn take(&mut self, effects: Effects) {
        assert!(effects.sends.iter().all(|send| send.body.len() <= MAX_BODY), "a datagram of ours is too long");
        assert!(effects.sends.len() <= 64, "one input made us send {} datagrams", effects.sends.len());
        self.timers.extend(effects.timers);
        assert!(self.timers.len() < 1000, "timers pile up");
        for ask in effects.asks {
            self.step(Input::Answered { ask: ask.ask, answer: Err(AskFailed::Unreachable) });
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.steps += 1;
        if self.steps <= STEPS {
            let mut effects = Effects::default();
            self.core.handle(self.now, input, &mut effects);
            self.take(effects);
        }
    }

    /// Lets time pass, and wakes the core whenever it wanted to be woken.
    fn pass(&mut self, wait: Duration) {
        let until = self.now.after(wait);
        while self.steps < STEPS
            && let Some((due, timer)) = self.timers.first().copied().filter(|(due, _)| *due <= until)
        {
            self.timers.pop_first();
            self.now = self.now.max(due);
            self.step(Input::Timer(timer));
        }
        self.now = until;
    }
}

fn speaker(place: u8) -> (MemberId, SocketAddr) {
    let known = Alive::verify(&alive_corpus()[0], mesh(), &Credulous).expect("genuine").id();
    let id = [known, packet::MEMBER, MemberId::of(&Own.public_key()), MemberId::from_bytes([place; 16])];
    (id[usize::from(place % 4)], SocketAddr::from(([192, 0, 2, place % 8], 7745)))
}

pub(super) fn talk(script: &[u8]) {
    let mut conversation = Conversation::begin();
    let mut rest = script;
    while let Some(([who, waits, low, high], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len()).min(MAX_BODY);
        let (body, after) = after.split_at(length);
        rest = after;
        conversation.pass(Duration::from_millis(1 << (waits % 16)));
        let (sender, from) = speaker(*who);
        conversation.step(Input::Datagram { from, sender, body });
    }
    conversation.pass(Duration::from_secs(30));
    assert_eq!(conversation.core.id(), MemberId::of(&Own.public_key()));
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let line = |(place, body): (usize, &Vec<u8>)| {
        let length = u16::try_from(body.len()).expect("a datagram");
        let speaker = u8::try_from(place % 251).expect("a byte");
        [[speaker, speaker.wrapping_mul(5)].as_slice(), &length.to_le_bytes(), body].concat()
    };
    let bodies = packet::corpus();
    let lines: Vec<Vec<u8>> = bodies.iter().enumerate().map(line).collect();
    lines.chunks(4).map(<[_]>::concat).collect()
}
