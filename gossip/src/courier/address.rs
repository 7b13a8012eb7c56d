//! What a member is called inside chitchat: one constant name for life, so that restarts and moves make no ghosts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use chitchat::ChitchatId;

use crate::alive::Life;
use crate::id::MemberId;

/// Bytes of a name's label.
pub(super) const LABEL_BYTES: usize = 10;

/// Bytes a name and its three counters take in a digest.
pub(super) const DIGEST_ENTRY_BYTES: usize = 2 + LABEL_BYTES + 8 + 7 + 24;

/// Versions and heartbeats at or above this are refused: nothing may come near the end of the counter.
pub(super) const COUNTER_END: u64 = 1 << 63;

/// How many versions one generation has before it runs into the numbers of the next. A generation follows the clock
/// in milliseconds or is slower, so that a member would have to re-sign two million times a millisecond.
const VERSIONS_PER_GENERATION_BITS: u32 = 21;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A member's name inside chitchat: ten characters of base32 and a synthetic IPv4 address, 98 bits of the member id.
///
/// The address leads nowhere. It is always version 4 (an entry of a digest is then 51 bytes rather than 63), never
/// unspecified, and its port is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    label: [u8; LABEL_BYTES],
    ip: Ipv4Addr,
    port: u16,
}

impl Name {
    /// The name of `member`, the same in every process and every life.
    pub fn of(member: MemberId) -> Self {
        let id = member.as_bytes();
        let mut bits = [0; 8];
        bits.copy_from_slice(&id[..8]);
        let bits = u64::from_be_bytes(bits);
        let mut label = [0; LABEL_BYTES];
        for (place, letter) in label.iter_mut().enumerate() {
            *letter = ALPHABET[(bits >> (59 - 5 * place)) as usize & 31];
        }
        let ip = match Ipv4Addr::new(id[8], id[9], id[10], id[11]) {
            Ipv4Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST,
            ip => ip,
        };
        Self { label, ip, port: u16::from_be_bytes([id[12], id[13]]).max(1) }
    }

    /// A name from its parts as they stand on chitchat's wire; `None` when no member can be called that.
    pub(super) fn from_parts(label: &[u8], generation: u64, address: SocketAddr) -> Option<Self> {
        let label = label.try_into().ok()?;
        match address.ip() {
            IpAddr::V4(ip) if generation == 0 => Some(Self { label, ip, port: address.port() }),
            _ => None,
        }
    }

    /// Where chitchat thinks the member lives.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip.into(), self.port)
    }

    /// The id chitchat knows the member by.
    pub fn chitchat_id(&self) -> ChitchatId {
        ChitchatId::new(String::from_utf8_lossy(&self.label).into_owned(), 0, self.address())
    }

    pub(super) fn label(&self) -> &[u8] {
        &self.label
    }

    pub(super) fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// The version under which chitchat carries the alive record of `life`: the same wherever the record came from, higher
/// for every later life. `None` when the numbers are beyond any that an honest member reaches.
pub(super) fn version_of(life: Life) -> Option<u64> {
    let floor = life.generation.0.checked_mul(1 << VERSIONS_PER_GENERATION_BITS)?;
    // Version 0 means "never heard of" to chitchat.
    let version = floor.checked_add(life.incarnation.0)?.checked_add(1)?;
    (version < COUNTER_END).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Generation, Incarnation, Session};

    fn life(generation: u64, incarnation: u64) -> Life {
        Life { generation: Generation(generation), session: Session(9), incarnation: Incarnation(incarnation) }
    }

    #[test]
    fn a_name_is_pinned_by_the_member_id() {
        let name = Name::of(MemberId::from_bytes(std::array::from_fn(|i| 0x11 * i as u8)));
        assert_eq!(name.chitchat_id(), ChitchatId::new("aaisem2ekv", 0, ([0x88, 0x99, 0xaa, 0xbb], 0xccdd).into()));
    }

    #[test]
    fn no_name_has_an_unspecified_address_or_port_zero() {
        let name = Name::of(MemberId::from_bytes([0; 16]));
        assert_eq!(name.address(), ([127, 0, 0, 1], 1).into());
    }

    #[test]
    fn versions_rise_with_every_life_and_stop_before_the_end() {
        assert!(version_of(life(1, 7)) < version_of(life(1, 8)));
        assert!(version_of(life(1, 8)) < version_of(life(2, 0)));
        assert_eq!(version_of(life(0, 0)), Some(1));
        assert_eq!(version_of(life(u64::MAX, 0)), None);
        assert_eq!(version_of(life(0, u64::MAX)), None);
        assert_eq!(version_of(life(1 << 42, 0)), None);
        // The milliseconds of the year 2100 fit.
        assert!(version_of(life(4_102_444_800_000, 0)).is_some());
    }
}
