//! A member that holds the mesh key and lies about everything. It answers pings, so nobody may find it dead for it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mesh_gossip::alive::{Address, Alive, Life, Summary};
use mesh_gossip::id::{Incarnation, MemberId, MeshId, Session};
use mesh_gossip::identity::Identity;
use mesh_gossip::packet::{
    Accusation, Ack, AskFor, Hello, Holding, MAX_BODY, Message, Ping, Reader, Relayed, Rumour, Welcome, Writer,
};
use mesh_gossip::record::{Key, Record, RecordBody, Value};
use mesh_gossip::seal::{Opener, Sealer};
use mesh_gossip::signature::Signature;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::flood::Flood;
use crate::invented::{body_of, invent, sign};
use crate::mesh::{MESH, Mesh, keys};

/// How many members it invents.
const INVENTED: usize = 8_192;

pub(crate) struct Rogue {
    pub(crate) identity: Arc<Identity>,
    socket: UdpSocket,
    rng: StdRng,
    sealers: Vec<Sealer>,
    real: Vec<Alive>,
    records: Vec<Arc<Record>>,
    own: Vec<Vec<u8>>,
    invented: Vec<(MemberId, Vec<u8>)>,
    bombs: Vec<Vec<u8>>,
    answering: Arc<AtomicBool>,
    answers: Option<JoinHandle<()>>,
}

impl Rogue {
    pub(crate) async fn new(seed: u64, mesh: &Mesh) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 1);
        let identity = Arc::new(Identity::ephemeral());
        let socket = UdpSocket::bind("127.0.0.77:0").unwrap();
        let at = socket.local_addr().unwrap();
        let address = Address { ip: at.ip(), gossip_port: at.port(), quic_port: at.port() };
        let real: Vec<Alive> = mesh.open.view().members().map(|member| (**member.alive()).clone()).collect();
        let taken: Vec<Address> = real.iter().map(|alive| alive.body().addresses[0]).collect();
        let mut sealers: Vec<Sealer> = real.iter().map(|alive| sealer(alive.id(), rng.next_u64())).collect();
        sealers.push(sealer(identity.id(), rng.next_u64()));
        let honest = sign(body_of(&identity, vec![address]), &identity).bytes().to_vec();
        let boast = |incarnation: u64, summary: Summary| {
            let body = body_of(&identity, vec![address]);
            sign(mesh_gossip::alive::AliveBody { incarnation: Incarnation(incarnation), summary, ..body }, &identity)
        };
        let highest = Summary { first: 1, last: u64::MAX, hash: 1 };
        let own = vec![honest.clone(), boast(1, highest).bytes().to_vec(), boast(u64::MAX, highest).bytes().to_vec()];
        let invented = invent(INVENTED, &taken, &mut rng);
        let answering = Arc::new(AtomicBool::new(true));
        let answers = Some(answer(socket.try_clone().unwrap(), identity.id(), Arc::clone(&answering)));
        let bombs = (1..8).map(bomb).collect();
        let mut rogue = Self {
            identity,
            socket,
            rng,
            sealers,
            real,
            records: Vec::new(),
            own,
            invented,
            bombs,
            answering,
            answers,
        };
        rogue.look_around(mesh);
        let hello = Hello { nonce: 1, alive: honest, members: 1, padding: vec![0; 400] };
        let hello = rogue.sealers.last_mut().unwrap().seal(&Writer::new(&Message::Hello(hello)).finish()).unwrap();
        for node in mesh.nodes() {
            rogue.socket.send_to(&hello, node.local_addresses()[0]).unwrap();
            let id = rogue.id();
            let mut views = node.watch();
            let met = views.wait_for(|view| view.member(&id).is_some());
            tokio::time::timeout(Duration::from_secs(10), met).await.unwrap().unwrap();
        }
        rogue
    }

    pub(crate) fn id(&self) -> MemberId {
        self.identity.id()
    }

    /// Throws from the address at which the rogue is known as a member.
    pub(crate) fn flood(&self) -> Flood {
        Flood::from(self.socket.try_clone().unwrap())
    }

    /// Learns in which lives the real members are now, to accuse those.
    pub(crate) fn look_around(&mut self, mesh: &Mesh) {
        let view = mesh.open.view();
        let members = || self.real.iter().filter_map(|alive| view.member(&alive.id()));
        self.records = members().flat_map(|member| member.records().cloned()).collect();
        self.real = members().map(|member| (**member.alive()).clone()).collect();
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let body = match self.rng.random_range(0..32) {
            0..=7 => self.accusations(),
            8..=14 => self.message(),
            15..=20 => self.holdings(),
            21 => self.costly(),
            22 => self.crowd(),
            23..=26 => self.courier(),
            _ => self.noise(),
        };
        // Mostly in the name of somebody else.
        match self.rng.random_range(0..32) {
            0 => {
                let mut last = sealer(self.real[0].id(), self.rng.next_u64());
                last.skip_to(u64::MAX);
                last.seal(&body).unwrap()
            }
            1 => sealer(self.invented[self.rng.random_range(0..INVENTED)].0, self.rng.next_u64()).seal(&body).unwrap(),
            _ => {
                let at = self.rng.random_range(0..self.sealers.len());
                self.sealers[at].seal(&body).unwrap()
            }
        }
    }

    fn someone(&mut self) -> usize {
        self.rng.random_range(0..self.real.len())
    }

    fn accusations(&mut self) -> Vec<u8> {
        let mut packet = Writer::new(&Message::Gossip);
        for _ in 0..self.rng.random_range(1..6) {
            let accused = self.someone();
            let life = self.real[accused].life();
            let incarnation = match self.rng.random_range(0..5) {
                0 => u64::MAX,
                1 => self.rng.next_u64(),
                2 => life.incarnation.0 + self.rng.random_range(1..100),
                _ => life.incarnation.0,
            };
            let life = Life { incarnation: Incarnation(incarnation), ..life };
            let accuser = MemberId::from_bytes(self.rng.random());
            let accusation = Accusation { member: self.real[accused].id(), life, accuser };
            let rumour = if self.rng.random() { Rumour::Dead(accusation) } else { Rumour::Suspect(accusation) };
            packet.push(&rumour.encode());
        }
        packet.finish()
    }

    fn message(&mut self) -> Vec<u8> {
        let (nonce, digest) = (self.rng.next_u64(), self.rng.next_u64());
        let (someone, other) = (self.someone(), self.someone());
        let target = self.real[someone].id();
        let word = Signature([7; 64]);
        let message = match self.rng.random_range(0..10) {
            0 => Message::Ack(Ack { nonce, digest, word: Some(word) }),
            1 => Message::Ack(Ack { nonce, digest, word: None }),
            2 => Message::Nack { nonce },
            3 => Message::NotMe { nonce },
            4 => Message::Relayed(Relayed { nonce, word }),
            5 => Message::AskFor(AskFor { target, nonce }),
            6 => {
                let alive = self.real[other].bytes().to_vec();
                Message::Welcome(Welcome { nonce, alive, observed: SocketAddr::from(([127, 0, 9, 9], 9)) })
            }
            7 => {
                let alive = self.invented[self.rng.random_range(0..INVENTED)].1.clone();
                Message::Hello(Hello { nonce, alive, members: u32::MAX, padding: vec![0; 64] })
            }
            kind => {
                let behalf = (kind == 8).then_some((self.real[other].id(), digest));
                let doubt = Some(self.real[someone].life().incarnation);
                Message::Ping(Ping { target, nonce, digest, behalf, doubt })
            }
        };
        Writer::new(&message).finish()
    }

    /// What takes the checking of signatures, and so cannot be all.
    fn costly(&mut self) -> Vec<u8> {
        if self.rng.random() { self.record() } else { self.forged_alive() }
    }

    /// Records in another's name, and its own at the highest version there can be.
    fn record(&mut self) -> Vec<u8> {
        let mut packet = Writer::new(&Message::Gossip);
        let someone = self.someone();
        let member = self.real[someone].id();
        let key: Key = ["name", "news", "owned"][self.rng.random_range(0..3)].parse().unwrap();
        let version = [1, self.rng.next_u64().max(1), u64::MAX][self.rng.random_range(0..3)];
        let body = RecordBody {
            member: self.id(),
            generation: self.identity.generation(),
            session: self.identity.session(),
            key,
            version,
            value: Value::Inline("owned".into()),
        };
        let bytes = Record::sign(body, MeshId::of(MESH), &*self.identity).bytes().to_vec();
        packet.push(&Rumour::Record { member: self.id(), bytes: bytes.clone() }.encode());
        packet.push(&Rumour::Record { member, bytes }.encode());
        if !self.records.is_empty() {
            let genuine = self.records[self.rng.random_range(0..self.records.len())].clone();
            let mut bytes = genuine.bytes().to_vec();
            packet.push(&Rumour::Record { member, bytes: bytes.clone() }.encode());
            let at = self.rng.random_range(4..bytes.len());
            bytes[at] ^= 1 << self.rng.random_range(0..8);
            packet.push(&Rumour::Record { member: genuine.member(), bytes }.encode());
        }
        packet.finish()
    }

    fn holdings(&mut self) -> Vec<u8> {
        let mut packet = Writer::new(&Message::Gossip);
        let someone = self.someone();
        let version = if self.rng.random() { u64::MAX } else { self.rng.next_u64() };
        packet.push(&Rumour::Holding(Holding { member: self.real[someone].id(), version }).encode());
        packet.push(&Rumour::Holding(Holding { member: MemberId::from_bytes(self.rng.random()), version }).encode());
        packet.finish()
    }

    fn forged_alive(&mut self) -> Vec<u8> {
        let mut packet = Writer::new(&Message::Gossip);
        let someone = self.someone();
        let mut bytes = self.real[someone].bytes().to_vec();
        // Behind the key: the life or what follows.
        let at = self.rng.random_range(32..bytes.len());
        bytes[at] ^= 1 << self.rng.random_range(0..8);
        packet.push(&Rumour::Alive(bytes).encode());
        packet.finish()
    }

    fn crowd(&mut self) -> Vec<u8> {
        let mut packet = Writer::new(&Message::Gossip);
        let own = self.rng.random_range(0..self.own.len());
        packet.push(&Rumour::Alive(self.own[own].clone()).encode());
        for _ in 0..2 {
            let invented = self.rng.random_range(0..INVENTED);
            packet.push(&Rumour::Alive(self.invented[invented].1.clone()).encode());
        }
        packet.finish()
    }

    fn courier(&mut self) -> Vec<u8> {
        let mut bytes = self.bombs[self.rng.random_range(0..self.bombs.len())].clone();
        match self.rng.random_range(0..3) {
            0 => bytes.truncate(self.rng.random_range(0..bytes.len())),
            1 => {
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] ^= self.rng.random_range(1..=u8::MAX);
            }
            _ => {}
        }
        bytes.truncate(MAX_BODY - 3);
        Writer::new(&Message::Courier(bytes)).finish()
    }

    fn noise(&mut self) -> Vec<u8> {
        let mut bytes = match self.rng.random_range(0..3) {
            0 => self.accusations(),
            1 => self.message(),
            _ => self.holdings(),
        };
        match self.rng.random_range(0..4) {
            0 => bytes.truncate(self.rng.random_range(0..bytes.len())),
            1 => {
                bytes.resize(self.rng.random_range(0..200), 0);
                self.rng.fill_bytes(&mut bytes);
            }
            2 => bytes[0] = self.rng.random_range(10..=u8::MAX),
            _ => {
                let mut packet = Writer::new(&Message::Gossip);
                let mut order = vec![0; 140];
                self.rng.fill_bytes(&mut order);
                packet.push(&Rumour::Order(order).encode());
                return packet.finish();
            }
        }
        bytes
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.answering.store(false, Ordering::Relaxed);
        let _ = self.answers.take().map(JoinHandle::join);
    }
}

fn sealer(sender: MemberId, session: u64) -> Sealer {
    Sealer::new(MeshId::of(MESH), sender, Session(session), &keys())
}

/// A courier's message that becomes very long, or claims to, or is a forged delta at the highest versions.
fn bomb(kind: usize) -> Vec<u8> {
    let message = match kind {
        1 => vec![0; 64 << 20],
        // A delta with a node nobody is, and versions nothing comes after.
        2 => [&[0x53, 0xb0, 0, 1, 0, 0, 2, 20, 0, 0][..], &[1; 18], &[0xff; 24], &[0]].concat(),
        3 => [&[0x53, 0xb0, 0, 2, 2, 0xff, 0xff][..], &[0xff; 400], &[0]].concat(),
        4 => [&[0x53, 0xb0, 0, 0, 0xff, 0xff][..], &[0xff; 300]].concat(),
        _ => {
            // Blocks of the delta that are bombs themselves.
            let block = zstd::bulk::compress(&vec![0; 65_535], 1).unwrap();
            let length = u16::try_from(block.len()).unwrap().to_le_bytes();
            let blocks = [&[1][..], &length, &block].concat().repeat(kind * 8);
            [&[0x53, 0xb0, 0, 2][..], &blocks, &[0]].concat()
        }
    };
    zstd::bulk::compress(&message, 1).unwrap()
}

/// The rogue's honest face: it says that it is there.
fn answer(socket: UdpSocket, own: MemberId, answering: Arc<AtomicBool>) -> JoinHandle<()> {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut opener = Opener::new(MeshId::of(MESH), &keys());
    let mut sealer = sealer(own, rand::random());
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while answering.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            let Ok(opened) = opener.open(from, &buffer[..length]) else { continue };
            if let Ok(Some(Message::Ping(ping))) = Reader::new(&opened.body).map(|packet| packet.message) {
                let ack = Message::Ack(Ack { nonce: ping.nonce, digest: ping.digest, word: None });
                let _ = socket.send_to(&sealer.seal(&Writer::new(&ack).finish()).unwrap(), from);
            }
        }
    })
}
