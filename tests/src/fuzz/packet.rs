//! What a sealed datagram holds. A member that holds the mesh key can write anything there.

use mesh_gossip::alive::Life;
use mesh_gossip::id::{Generation, Incarnation, MemberId, Session};
use mesh_gossip::packet::{
    Accusation, Ack, AskFor, Hello, Holding, MAX_BODY, Message, Ping, Reader, Relayed, Rumour, Welcome, Writer,
};
use mesh_gossip::signature::Signature;

use super::signed::{alive_corpus, order_corpus, record_corpus};

pub(super) const MEMBER: MemberId = MemberId::from_bytes([3; 16]);

pub(super) fn read(bytes: &[u8]) {
    let Ok(mut packet) = Reader::new(bytes) else { return };
    let message = packet.message.take();
    let rumours: Vec<Rumour> = packet.filter_map(Result::ok).flatten().collect();
    if let Some(message) = message.filter(|_| bytes.len() <= MAX_BODY) {
        let written = write(&message, &rumours);
        assert!(written.len() <= MAX_BODY);
        let again = Reader::new(&written).expect("written by us");
        assert_eq!(again.message.as_ref(), Some(&message));
        assert!(again.map(|rumour| rumour.ok().flatten()).eq(rumours.into_iter().map(Some)));
    }
}

fn write(message: &Message, rumours: &[Rumour]) -> Vec<u8> {
    let mut writer = Writer::new(message);
    for rumour in rumours {
        assert!(writer.push(&rumour.encode()), "what was read fits no more");
    }
    writer.finish()
}

fn messages() -> Vec<Message> {
    let alive = alive_corpus().swap_remove(0);
    let word = Signature([0x5A; 64]);
    let observed = "192.0.2.1:7745".parse().expect("an address written here");
    let ping = Ping { target: MEMBER, nonce: 1, digest: 2, behalf: None, doubt: None };
    let behalf = Some((MEMBER, u64::MAX));
    vec![
        Message::Gossip,
        Message::Ping(ping.clone()),
        Message::Ping(Ping { behalf, doubt: Some(Incarnation(u64::MAX)), ..ping }),
        Message::Ack(Ack { nonce: 1, digest: 2, word: None }),
        Message::Ack(Ack { nonce: 1, digest: 2, word: Some(word) }),
        Message::AskFor(AskFor { target: MEMBER, nonce: 3 }),
        Message::Relayed(Relayed { nonce: 3, word }),
        Message::Nack { nonce: 3 },
        Message::NotMe { nonce: 1 },
        Message::Hello(Hello { nonce: 4, alive: alive.clone(), members: 9, padding: vec![0; 200] }),
        Message::Welcome(Welcome { nonce: 4, alive, observed }),
        Message::Courier(vec![0x28, 0xB5, 0x2F, 0xFD, 0, 0]),
    ]
}

fn rumours() -> Vec<Rumour> {
    let life = Life { generation: Generation(3), session: Session(5), incarnation: Incarnation(1) };
    let accusation = Accusation { member: MEMBER, life, accuser: MemberId::from_bytes([4; 16]) };
    let alive = alive_corpus().into_iter().map(Rumour::Alive);
    let orders = order_corpus().into_iter().map(Rumour::Order);
    let records = record_corpus().into_iter().map(|bytes| Rumour::Record { member: MEMBER, bytes });
    let others = [
        Rumour::Suspect(accusation),
        Rumour::Dead(accusation),
        Rumour::Holding(Holding { member: MEMBER, version: u64::MAX }),
    ];
    alive.chain(orders).chain(records.filter(|rumour| rumour.encode().len() < 600)).chain(others).collect()
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let quiet = messages().iter().map(|message| write(message, &[])).collect::<Vec<_>>();
    let talkative = rumours().into_iter().map(|rumour| write(&Message::Gossip, &[rumour]));
    quiet.into_iter().chain(talkative).collect()
}
