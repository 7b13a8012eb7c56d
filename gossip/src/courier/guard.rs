//! Reads a message before chitchat does, and lets through only what is harmless and true.
//!
//! chitchat 0.11.2 believes whoever speaks, decompresses without a bound and panics on some inputs. The guard parses
//! the (pinned) bytes itself, keeps the entries that stand up, and writes a message of its own that holds only those:
//! chitchat never sees a byte that came from outside. What a delta may say is one thing: "this is the alive record of
//! that member", under the version that follows from the record and with the owner's signature on it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::address::{COUNTER_END, DIGEST_ENTRY_BYTES, Name, version_of};
use super::format::{self, Reader};
use crate::alive::{Alive, MAX_ALIVE_BYTES};
use crate::id::MemberId;

/// The only key there is: a member's signed alive record. Its first character is ASCII, because chitchat's listeners
/// cut keys at byte offsets and panic inside a longer one.
pub const KEY: &str = "a";

/// The most members a courier carries. Entries of a digest take 51 bytes; past 65 KB chitchat's room for a delta wraps
/// around. At this number a digest is 56 KB and an answer still has room for some 30 alive records.
pub const MAX_MEMBERS: usize = 1_100;

/// Entries past this are more than a message can honestly hold.
const MAX_DIGEST_ENTRIES: usize = 60_000 / DIGEST_ENTRY_BYTES;

const MAX_VALUE_BYTES: usize = MAX_ALIVE_BYTES.div_ceil(3) * 4;

/// Why a whole message was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refused {
    /// More bytes than any message has.
    #[error("the message is too long")]
    TooLong,
    /// The compression is damaged, or its content is larger than may be.
    #[error("the message cannot be decompressed within its bound")]
    Uncompressible,
    /// Its delta decompresses to more than may be.
    #[error("the delta decompresses beyond its bound")]
    Bomb,
    /// Not the pinned format.
    #[error("the message is malformed")]
    Malformed,
    /// From another mesh.
    #[error("the message belongs to another mesh")]
    OtherMesh,
    /// Its digest is longer than chitchat can answer.
    #[error("the digest names too many members")]
    TooManyMembers,
    /// From somebody who is not in the roster.
    #[error("the sender is not admitted")]
    Stranger,
    /// An answer to something that was not asked.
    #[error("nobody asked for this answer")]
    Unasked,
    /// The sender asks again too soon.
    #[error("the sender asks too often")]
    TooOften,
    /// Too much is waiting already.
    #[error("too much is waiting already")]
    Busy,
    /// chitchat died more often than it is restarted.
    #[error("chitchat is down")]
    Down,
}

/// Why a part of a message was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filtered {
    /// A member that is neither admitted nor vouched for by its own signature here.
    Stranger,
    /// News about ourselves.
    Ourselves,
    /// An id that no member can have.
    BadName,
    /// A heartbeat or version out of bounds, or one that does not follow from the record.
    BadCounter,
    /// The same member twice.
    Twice,
    /// An operation that no member of ours sends: another key, a removal, a bare version.
    BadOperation,
    /// A record that is not its owner's, or not this member's.
    Forged,
    /// More newcomers than there is room for.
    NoRoom,
}

/// The step of an exchange that a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Opens an exchange: the asker's digest.
    Syn,
    /// Answers: the other digest, and what the asker lacks.
    SynAck,
    /// Ends it: what the answerer lacks.
    Ack,
}

/// What the guard needs to know to judge a message.
pub struct Rules<'a> {
    /// Our own name.
    pub own: Name,
    /// The name of the mesh inside chitchat.
    pub cluster: &'a str,
    /// How many newcomers may pass.
    pub room: usize,
    /// Who is admitted under a name.
    pub admitted: &'a dyn Fn(&Name) -> Option<MemberId>,
    /// Decodes an alive record and checks its signature.
    pub verify: &'a dyn Fn(&[u8]) -> Option<Alive>,
}

/// What is left of a message.
#[derive(Debug)]
pub struct Cleaned {
    /// Which step of an exchange it is.
    pub step: Step,
    /// The message for chitchat, in its own format, uncompressed.
    pub bytes: Vec<u8>,
    /// Every genuine alive record that was in it, also of strangers and of ourselves.
    pub alive: Vec<Alive>,
    /// Those of them that are let through although nobody admitted them yet.
    pub newcomers: Vec<Name>,
    /// What was left out, by reason.
    pub filtered: BTreeMap<Filtered, u64>,
}

/// The step of an uncompressed message, from its first bytes alone.
///
/// # Errors
/// [`Refused::Malformed`] when it is none; chitchat's refusal of another mesh is one of these.
pub fn step(message: &[u8]) -> Result<Step, Refused> {
    let rest = message.strip_prefix(&format::HEADER).ok_or(Refused::Malformed)?;
    match rest.first() {
        Some(&format::SYN) => Ok(Step::Syn),
        Some(&format::SYN_ACK) => Ok(Step::SynAck),
        Some(&format::ACK) => Ok(Step::Ack),
        _ => Err(Refused::Malformed),
    }
}

/// Reads an uncompressed message and keeps what stands up.
///
/// # Errors
/// [`Refused`] when the message as a whole is not worth reading; nothing in it counts then.
pub fn inspect(message: &[u8], rules: &Rules<'_>) -> Result<Cleaned, Refused> {
    let step = step(message)?;
    let mut reader = Reader(&message[format::HEADER.len() + 1..]);
    let digest = match step {
        Step::Syn | Step::SynAck => read_digest(&mut reader)?,
        Step::Ack => Vec::new(),
    };
    let mut sieve = Sieve {
        step,
        rules,
        alive: Vec::new(),
        passed: BTreeMap::new(),
        newcomers: Vec::new(),
        filtered: BTreeMap::new(),
    };
    match step {
        Step::Syn if reader.text()? != rules.cluster.as_bytes() => return Err(Refused::OtherMesh),
        Step::Syn => {}
        Step::SynAck | Step::Ack => {
            let operations = reader.blocks()?;
            sieve.read_delta(&operations)?;
        }
    }
    if !reader.0.is_empty() {
        return Err(Refused::Malformed);
    }
    let mut bytes = message[..=format::HEADER.len()].to_vec();
    if step != Step::Ack {
        sieve.write_digest(&mut bytes, &digest);
    }
    match step {
        Step::Syn => format::write_text(&mut bytes, rules.cluster.as_bytes()),
        Step::SynAck | Step::Ack => sieve.write_delta(&mut bytes),
    }
    let Sieve { alive, newcomers, filtered, .. } = sieve;
    Ok(Cleaned { step, bytes, alive, newcomers, filtered })
}

struct DigestEntry {
    name: Option<Name>,
    heartbeat: u64,
    last_gc_version: u64,
    max_version: u64,
}

fn read_digest(reader: &mut Reader<'_>) -> Result<Vec<DigestEntry>, Refused> {
    let count = usize::from(reader.u16()?);
    if count > MAX_DIGEST_ENTRIES {
        return Err(Refused::TooManyMembers);
    }
    (0..count)
        .map(|_| {
            Ok(DigestEntry {
                name: reader.name()?,
                heartbeat: reader.u64()?,
                last_gc_version: reader.u64()?,
                max_version: reader.u64()?,
            })
        })
        .collect()
}

/// A key and what is said about it.
struct Claim<'a> {
    key: &'a [u8],
    value: &'a [u8],
    version: u64,
    status: u8,
}

struct Sieve<'a> {
    step: Step,
    rules: &'a Rules<'a>,
    alive: Vec<Alive>,
    /// What chitchat gets to read: the version and the text of each record.
    passed: BTreeMap<Name, (u64, Vec<u8>)>,
    newcomers: Vec<Name>,
    filtered: BTreeMap<Filtered, u64>,
}

impl Sieve<'_> {
    fn leave_out(&mut self, reason: Filtered) {
        *self.filtered.entry(reason).or_default() += 1;
    }

    fn read_delta(&mut self, operations: &[u8]) -> Result<(), Refused> {
        let mut reader = Reader(operations);
        let mut seen = BTreeSet::new();
        // The member whose one operation may follow. Taken by whatever follows: after it, good or bad, the rest of
        // that member is dropped.
        let mut open = None;
        while !reader.0.is_empty() {
            match reader.u8()? {
                format::NODE => {
                    let name = reader.name()?;
                    let (last_gc_version, _from_version) = (reader.u64()?, reader.u64()?);
                    open = match name {
                        None => Err(Filtered::BadName),
                        Some(_) if last_gc_version != 0 => Err(Filtered::BadCounter),
                        Some(name) if !seen.insert(name) => Err(Filtered::Twice),
                        Some(name) => Ok(name),
                    }
                    .map_err(|reason| self.leave_out(reason))
                    .ok();
                }
                format::KEY_VALUE => {
                    let (key, value) = (reader.text()?, reader.text()?);
                    let claim = Claim { key, value, version: reader.u64()?, status: reader.u8()? };
                    match open.take() {
                        Some(name) => self.judge(name, &claim).unwrap_or_else(|reason| self.leave_out(reason)),
                        None => self.leave_out(Filtered::BadOperation),
                    }
                }
                format::SET_MAX_VERSION => {
                    reader.u64()?;
                    open = None;
                    self.leave_out(Filtered::BadOperation);
                }
                _ => return Err(Refused::Malformed),
            }
        }
        Ok(())
    }

    fn judge(&mut self, name: Name, claim: &Claim<'_>) -> Result<(), Filtered> {
        if claim.key != KEY.as_bytes() || claim.status != 0 || claim.value.len() > MAX_VALUE_BYTES {
            return Err(Filtered::BadOperation);
        }
        // Checking a signature is what a message can make us spend most on.
        if self.alive.len() == MAX_MEMBERS {
            return Err(Filtered::NoRoom);
        }
        let record = STANDARD_NO_PAD.decode(claim.value).map_err(|_| Filtered::BadOperation)?;
        let alive = (self.rules.verify)(&record).ok_or(Filtered::Forged)?;
        let (id, version) = (alive.id(), version_of(alive.life()));
        if Name::of(id) != name {
            return Err(Filtered::Forged);
        }
        if version != Some(claim.version) {
            return Err(Filtered::BadCounter);
        }
        self.alive.push(alive);
        if name == self.rules.own {
            return Err(Filtered::Ourselves);
        }
        match (self.rules.admitted)(&name) {
            Some(admitted) if admitted == id => {}
            Some(_) => return Err(Filtered::Stranger),
            // Without a digest entry beside it chitchat would not take it; the caller gets the record all the same.
            None if self.step == Step::Ack => return Err(Filtered::Stranger),
            None if self.newcomers.len() == self.rules.room => return Err(Filtered::NoRoom),
            None => self.newcomers.push(name),
        }
        self.passed.insert(name, (claim.version, claim.value.to_vec()));
        Ok(())
    }

    fn write_digest(&mut self, out: &mut Vec<u8>, digest: &[DigestEntry]) {
        let mut kept = BTreeMap::new();
        for entry in digest {
            match entry.name {
                None => self.leave_out(Filtered::BadName),
                Some(_) if entry.last_gc_version != 0 || entry.heartbeat.max(entry.max_version) >= COUNTER_END => {
                    self.leave_out(Filtered::BadCounter);
                }
                // Our own entry says which of our records the other holds.
                Some(name) if name == self.rules.own || self.is_welcome(&name) => {
                    if kept.insert(name, (entry.heartbeat, entry.max_version)).is_some() {
                        self.leave_out(Filtered::Twice);
                    }
                }
                Some(_) => self.leave_out(Filtered::Stranger),
            }
        }
        let count = u16::try_from(kept.len()).expect("no longer than the digest it was taken from");
        out.extend_from_slice(&count.to_le_bytes());
        for (name, (heartbeat, max_version)) in kept {
            format::write_name(out, &name);
            for counter in [heartbeat, 0, max_version] {
                out.extend_from_slice(&counter.to_le_bytes());
            }
        }
    }

    fn is_welcome(&self, name: &Name) -> bool {
        (self.rules.admitted)(name).is_some() || self.passed.contains_key(name)
    }

    fn write_delta(&self, out: &mut Vec<u8>) {
        let mut operations = Vec::new();
        for (name, (version, value)) in &self.passed {
            operations.push(format::NODE);
            format::write_name(&mut operations, name);
            // Never collected, and complete from the very first version: the one record is all there is.
            operations.extend_from_slice(&[0; 16]);
            operations.push(format::KEY_VALUE);
            format::write_text(&mut operations, KEY.as_bytes());
            format::write_text(&mut operations, value);
            operations.extend_from_slice(&version.to_le_bytes());
            operations.push(0);
        }
        format::write_blocks(out, &operations);
    }
}
