//! How much one source may send before its datagrams are dropped unread.
//!
//! Two classes, so that strangers cannot starve members: an address that belongs to a member has an allowance of its
//! own; all other addresses have one each by IP address, and one that they share. Memory is fixed, however many
//! addresses a flood invents: strangers live in a table of fixed size and may have to share a place in it.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use foldhash::quality::FixedState;

use crate::moment::Moment;

/// The most member addresses that have an allowance of their own; further ones count as strangers.
pub const MAX_KNOWN: usize = 8192;

const STRANGER_PLACES: usize = 4096;

/// An allowance: so much a second on average, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Cost units (datagrams, unless the caller counts otherwise) a second, at least 1.
    pub per_second: u32,
    /// Cost units at once after a long silence, at least the largest single cost.
    pub burst: u32,
}

/// The allowances of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// For each known member's address.
    pub member: Quota,
    /// For each other IP address (IPv6: each /64, since one host commands all of that).
    pub stranger: Quota,
    /// For all strangers together: what answering a flood may cost this node at all.
    pub strangers: Quota,
}

/// Who has sent how much of late.
#[derive(Debug)]
pub struct RateLimit {
    limits: RateLimits,
    known: BTreeMap<SocketAddr, Bucket>,
    strangers: Box<[Bucket]>,
    all_strangers: Bucket,
    hasher: FixedState,
}

/// A token bucket as one number: the moment, in nanoseconds, at which it will be full again (the virtual scheduling
/// algorithm of ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: u64,
}

impl Default for RateLimits {
    /// A member sends tens of datagrams a second, a few hundred when many things happen at once; a whole rack may join
    /// behind one address; opening a datagram takes a few microseconds.
    fn default() -> Self {
        Self {
            member: Quota { per_second: 2_000, burst: 4_000 },
            stranger: Quota { per_second: 1_000, burst: 4_000 },
            strangers: Quota { per_second: 20_000, burst: 20_000 },
        }
    }
}

impl RateLimit {
    /// Nobody has sent anything yet. `seed` is random; it keeps strangers from choosing whose allowance they share.
    pub fn new(limits: RateLimits, seed: u64) -> Self {
        Self {
            limits,
            known: BTreeMap::new(),
            strangers: vec![Bucket::default(); STRANGER_PLACES].into(),
            all_strangers: Bucket::default(),
            hasher: FixedState::with_seed(seed),
        }
    }

    /// Whether `from` may spend `cost`. What it may not is not charged.
    pub fn allow(&mut self, now: Moment, from: SocketAddr, cost: u32) -> bool {
        let from = canonical(from);
        if let Some(bucket) = self.known.get_mut(&from) {
            return bucket.take(now, cost, self.limits.member);
        }
        let place = self.place(from.ip());
        let alone = self.strangers[place];
        if !self.strangers[place].take(now, cost, self.limits.stranger) {
            return false;
        }
        let allowed = self.all_strangers.take(now, cost, self.limits.strangers);
        if !allowed {
            self.strangers[place] = alone;
        }
        allowed
    }

    /// Gives the address of a member an allowance of its own. Tell about members that answered, not about claims.
    pub fn know(&mut self, address: SocketAddr) {
        if self.known.len() < MAX_KNOWN {
            self.known.entry(canonical(address)).or_default();
        }
    }

    /// Takes the allowance away from an address where no member is any more.
    pub fn forget(&mut self, address: SocketAddr) {
        self.known.remove(&canonical(address));
    }

    fn place(&self, ip: IpAddr) -> usize {
        let network = match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            // The upper half of an IPv6 address is its network; the IPv4 range cannot be mistaken for one in use.
            IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 64).expect("64 bits are left"),
        };
        usize::try_from(self.hasher.hash_one(network) % STRANGER_PLACES as u64).expect("a small number")
    }
}

impl Bucket {
    fn take(&mut self, now: Moment, cost: u32, quota: Quota) -> bool {
        let now = now.as_micros().saturating_mul(1_000);
        let unit = 1_000_000_000 / u64::from(quota.per_second.max(1));
        let full_at = self.full_at.max(now).saturating_add(unit.saturating_mul(u64::from(cost)));
        let allowed = full_at - now <= unit.saturating_mul(u64::from(quota.burst));
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

/// An IPv4 peer of a dual-stack socket appears under an IPv6 address; it is the same one.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use super::{MAX_KNOWN, Quota, RateLimit, RateLimits};
    use crate::moment::Moment;

    const LIMITS: RateLimits = RateLimits {
        member: Quota { per_second: 10, burst: 5 },
        stranger: Quota { per_second: 10, burst: 5 },
        strangers: Quota { per_second: 100, burst: 50 },
    };

    fn address(number: u32) -> SocketAddr {
        (Ipv4Addr::from_bits(0x0a00_0000 + number), 7000).into()
    }

    fn allowed(limit: &mut RateLimit, now: Moment, from: SocketAddr, tries: usize) -> usize {
        (0..tries).filter(|_| limit.allow(now, from, 1)).count()
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let mut limit = RateLimit::new(LIMITS, 1);
        let mut now = Moment::ZERO;
        assert_eq!(allowed(&mut limit, now, address(1), 100), 5);
        now = now.after(Duration::from_millis(300));
        assert_eq!(allowed(&mut limit, now, address(1), 100), 3);
        now = now.after(Duration::from_hours(1));
        assert!(!limit.allow(now, address(1), 6), "more at once than the burst");
        assert!(limit.allow(now, address(1), 5));
    }

    #[test]
    fn a_flood_of_strangers_costs_members_nothing() {
        let mut limit = RateLimit::new(LIMITS, 1);
        limit.know(address(1));
        let flood = (2..100_000).filter(|&number| limit.allow(Moment::ZERO, address(number), 1)).count();
        assert_eq!(flood, 50);
        assert_eq!(allowed(&mut limit, Moment::ZERO, address(1), 9), 5);
        let neighbour = SocketAddr::new(address(1).ip(), 1);
        assert!(!limit.allow(Moment::ZERO, neighbour, 1), "another port of the member's host is a stranger");
        limit.forget(address(1));
        assert!(!limit.allow(Moment::ZERO, address(1), 1));
    }

    #[test]
    fn one_host_is_one_source_however_many_addresses_it_has() {
        let mut limit = RateLimit::new(LIMITS, 1);
        let host = |low: u128| SocketAddr::from((Ipv6Addr::from_bits((0x2001_0db8 << 96) + low), 7000));
        assert_eq!((0..100).filter(|&low| limit.allow(Moment::ZERO, host(low), 1)).count(), 5);
        let mapped = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped(), 7000));
        let plain = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 9), 7000));
        assert_eq!(allowed(&mut limit, Moment::ZERO, mapped, 9) + allowed(&mut limit, Moment::ZERO, plain, 9), 5);
    }

    #[test]
    fn no_input_overflows_and_the_known_are_bounded() {
        let mut limit = RateLimit::new(LIMITS, 1);
        limit.allow(Moment::from_micros(u64::MAX), address(1), u32::MAX);
        limit.allow(Moment::ZERO, address(1), u32::MAX);
        for number in 0..20_000 {
            limit.know(address(number));
        }
        assert_eq!(limit.known.len(), MAX_KNOWN);
    }
}
