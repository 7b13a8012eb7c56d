//! The guard in front of chitchat. Whatever it lets through, chitchat reads to the end, and the guard lets through again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chitchat::{ChitchatMessage, Deserializable};
use mesh_gossip::alive::Alive;
use mesh_gossip::courier::Name;
use mesh_gossip::courier::guard::{self, Cleaned, KEY, Refused, Rules};
use mesh_gossip::id::MemberId;

use super::signed::{self, Credulous, alive_corpus, mesh};

const CLUSTER: &str = "fuzz";
const OWN: MemberId = MemberId::from_bytes([1; 16]);
const OTHER: MemberId = MemberId::from_bytes([2; 16]);

/// The guard's answer when these members are admitted.
fn inspect(message: &[u8], members: &[MemberId]) -> Result<Cleaned, Refused> {
    let rules = Rules {
        own: Name::of(OWN),
        cluster: CLUSTER,
        room: 2,
        admitted: &|name| members.iter().copied().find(|id| Name::of(*id) == *name),
        verify: &|record| Alive::verify(record, mesh(), &Credulous).ok(),
    };
    guard::inspect(message, &rules)
}

pub(super) fn guard(bytes: &[u8]) {
    check(bytes, &[OWN, OTHER]);
    check(bytes, &[OWN, OTHER, MemberId::of(&signed::KEY)]);
}

fn check(bytes: &[u8], members: &[MemberId]) {
    let Ok(cleaned) = inspect(bytes, members) else { return };
    let mut rest = cleaned.bytes.as_slice();
    assert!(ChitchatMessage::deserialize(&mut rest).is_ok() && rest.is_empty(), "chitchat cannot read what passed");
    let again = inspect(&cleaned.bytes, members).expect("passed once");
    assert!(again.bytes == cleaned.bytes && again.filtered.is_empty(), "passed once, filtered now");
    assert!(cleaned.newcomers.len() <= 2, "more newcomers than there is room for");
}

/// chitchat's pinned bytes: little endian, texts behind a 16-bit length.
#[derive(Default)]
struct Forge(Vec<u8>);

impl Forge {
    fn message(step: u8) -> Self {
        Self(vec![0x53, 0xB0, 0, step])
    }

    fn text(mut self, text: &[u8]) -> Self {
        let length = u16::try_from(text.len()).expect("short");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(text);
        self
    }

    fn numbers(mut self, numbers: &[u64]) -> Self {
        numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
        self
    }

    fn name(self, member: MemberId) -> Self {
        let id = Name::of(member).chitchat_id();
        let std::net::IpAddr::V4(ip) = id.gossip_advertise_addr.ip() else { unreachable!("synthetic, version 4") };
        let mut this = self.text(id.node_id.as_bytes()).numbers(&[0]);
        this.0.push(4);
        this.0.extend_from_slice(&ip.octets());
        this.0.extend_from_slice(&id.gossip_advertise_addr.port().to_le_bytes());
        this
    }

    fn digest(mut self, members: &[MemberId]) -> Self {
        let count = u16::try_from(members.len()).expect("few");
        self.0.extend_from_slice(&count.to_le_bytes());
        members.iter().fold(self, |this, member| this.name(*member).numbers(&[5, 0, 7]))
    }

    /// One block, not compressed, that holds the alive records of `corpus`, as an honest member sends them.
    fn delta(mut self, corpus: &[Vec<u8>]) -> Self {
        let mut operations = Self::default();
        for bytes in corpus {
            let alive = Alive::verify(bytes, mesh(), &Credulous).expect("genuine");
            let life = alive.life();
            let version = life.generation.0.wrapping_shl(21).wrapping_add(life.incarnation.0).wrapping_add(1);
            operations.0.push(0);
            operations = operations.name(alive.id()).numbers(&[0, 0]);
            operations.0.push(1);
            operations = operations.text(KEY.as_bytes()).text(STANDARD_NO_PAD.encode(bytes).as_bytes());
            operations = operations.numbers(&[version]);
            operations.0.push(0);
        }
        self.0.push(2);
        let mut this = self.text(&operations.0);
        this.0.push(0);
        this
    }
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let alive = alive_corpus();
    let messages = [
        Forge::message(0).digest(&[OWN, OTHER]).text(CLUSTER.as_bytes()),
        Forge::message(1).digest(&[OTHER]).delta(&alive[..1]),
        Forge::message(2).delta(&alive[..1]),
        // One member twice, the second time in a life beyond the end of versions.
        Forge::message(2).delta(&alive),
        Forge::message(2).delta(&[]),
    ];
    messages.into_iter().map(|forge| forge.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_genuine_messages_pass_unchanged() {
        let members = [OWN, OTHER, MemberId::of(&signed::KEY)];
        let pass = |message: Vec<u8>| inspect(&message, &members).is_ok_and(|cleaned| cleaned.filtered.is_empty());
        assert_eq!(corpus().into_iter().map(pass).collect::<Vec<_>>(), [true, true, true, false, true]);
    }
}
