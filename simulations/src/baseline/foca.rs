//! foca 2, as its users run it: the LAN preset for the size of the mesh, identities that renew themselves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;

use bytes::{Buf, BufMut};
use foca::{
    AccumulatingRuntime, BroadcastHandler, Codec, Config, Foca, Header, Identity, Invalidates, Member, Message,
    OwnedNotification, State, Timer,
};
use mesh_gossip::id::MemberId;
use mesh_gossip::moment::Moment;

use super::id_of;
use crate::dice::{Dice, dice};
use crate::host::{Actions, Event, Host, Knows, News, Standing, Wish, gossip_address};

/// A host's name in foca: its index, and how often it had to take a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    host: u32,
    renewed: u32,
}

impl Identity for Name {
    type Addr = u32;

    fn renew(&self) -> Option<Self> {
        Some(Self { renewed: self.renewed + 1, ..*self })
    }

    fn addr(&self) -> u32 {
        self.host
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.renewed > other.renewed
    }
}

/// A host that runs foca.
pub struct FocaHost {
    host: u32,
    knows: Knows,
    foca: Foca<Name, Compact, Dice, Records>,
    runtime: AccumulatingRuntime<Name>,
    held: Rc<RefCell<Held>>,
}

impl FocaHost {
    /// A host of a mesh of about `size` members.
    pub fn new(seed: u64, host: u32, life: u32, size: u32, knows: Knows) -> Self {
        let held = Rc::default();
        let size = NonZeroU32::new(size).unwrap_or(NonZeroU32::MIN);
        let name = Name { host, renewed: life << 16 };
        let chance = dice(seed, 0x666f_6361 ^ (u64::from(host) << 32) ^ (u64::from(life) << 56));
        let records = Records(Rc::clone(&held));
        let foca = Foca::with_custom_broadcast(name, Config::new_lan(size), chance, Compact, records);
        Self { host, knows, foca, runtime: AccumulatingRuntime::new(), held }
    }

    fn drain(&mut self, now: Moment, out: &mut Actions<Timer<Name>>) {
        while let Some((to, bytes)) = self.runtime.to_send() {
            out.sends.push((gossip_address(to.host), bytes.to_vec()));
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            out.timers.push((now.after(after), timer));
        }
        while let Some(notification) = self.runtime.to_notify() {
            let (name, standing) = match notification {
                OwnedNotification::MemberUp(name) => (name, Standing::Alive),
                OwnedNotification::MemberDown(name) => (name, Standing::Dead),
                OwnedNotification::Rejoin(_) => {
                    out.news.push(News::Refuted);
                    continue;
                }
                _ => continue,
            };
            out.news.push(News::Member { member: name.host, life: name.renewed >> 16, standing });
        }
        out.news.append(&mut self.held.borrow_mut().news);
    }
}

impl Host for FocaHost {
    type Timer = Timer<Name>;
    type Command = Wish;

    fn id(&self) -> MemberId {
        id_of(self.host)
    }

    fn handle(&mut self, now: Moment, event: Event<'_, Self>, out: &mut Actions<Timer<Name>>) {
        // foca answers a peer's mistakes with an error and goes on; there is nobody here who would want to know.
        let _ = match event {
            Event::Start => match &self.knows {
                Knows::Everybody(size) => {
                    let others = (0..*size).filter(|other| *other != self.host);
                    let members = others.map(|host| Member::alive(Name { host, renewed: 0 }));
                    self.foca.apply_many(members, false, &mut self.runtime)
                }
                Knows::Seeds(seeds) => {
                    let mut names =
                        seeds.iter().filter(|seed| **seed != self.host).map(|seed| Name { host: *seed, renewed: 0 });
                    names.try_for_each(|name| self.foca.announce(name, &mut self.runtime))
                }
            },
            Event::Datagram { body, .. } => self.foca.handle_data(body, &mut self.runtime),
            Event::Timer(timer) => self.foca.handle_timer(timer, &mut self.runtime),
            Event::Command(Wish::Set { key, version, bytes }) => {
                let mut record = vec![0; bytes.max(20)];
                record[..4].copy_from_slice(&self.host.to_be_bytes());
                record[4..8].copy_from_slice(&key.to_be_bytes());
                record[8..16].copy_from_slice(&version.to_be_bytes());
                self.foca.add_broadcast(&record).map(|_| ())
            }
            Event::Command(Wish::Leave) => self.foca.leave_cluster(&mut self.runtime),
            // foca's broadcasts know no removal.
            Event::Command(Wish::Remove { .. }) => Ok(()),
            Event::Asked { .. } | Event::Answered { .. } | Event::Shipped { .. } => Ok(()),
        };
        self.drain(now, out);
    }
}

/// Newest versions by owner and key, and what of it is news.
#[derive(Default)]
struct Held {
    versions: BTreeMap<(u32, u32), u64>,
    news: Vec<News>,
}

struct Records(Rc<RefCell<Held>>);

struct RecordKey {
    owner: u32,
    key: u32,
}

impl Invalidates for RecordKey {
    fn invalidates(&self, other: &Self) -> bool {
        (self.owner, self.key) == (other.owner, other.key)
    }
}

/// A broadcast that is not a record.
#[derive(Debug, thiserror::Error)]
#[error("not a record")]
struct NotARecord;

impl BroadcastHandler<Name> for Records {
    type Key = RecordKey;
    type Error = NotARecord;

    fn receive_item(&mut self, mut data: &[u8], _: Option<&Name>) -> Result<Option<RecordKey>, NotARecord> {
        if data.len() < 16 {
            return Err(NotARecord);
        }
        let (owner, key, version) = (data.get_u32(), data.get_u32(), data.get_u64());
        let mut held = self.0.borrow_mut();
        if held.versions.get(&(owner, key)).is_some_and(|known| *known >= version) {
            return Ok(None);
        }
        held.versions.insert((owner, key), version);
        held.news.push(News::Record { member: owner, key, version });
        Ok(Some(RecordKey { owner, key }))
    }
}

/// foca's messages with nothing to spare: a name is six bytes, as if it were an address.
struct Compact;

/// Bytes that are not a message.
#[derive(Debug, thiserror::Error)]
#[error("not a message")]
struct NotAMessage;

fn put_name(name: Name, buf: &mut impl BufMut) {
    buf.put_u32(name.host);
    buf.put_u32(name.renewed);
}

fn take_name(buf: &mut impl Buf) -> Result<Name, NotAMessage> {
    if buf.remaining() < 8 {
        return Err(NotAMessage);
    }
    Ok(Name { host: buf.get_u32(), renewed: buf.get_u32() })
}

fn take_u8(buf: &mut impl Buf) -> Result<u8, NotAMessage> {
    if buf.has_remaining() { Ok(buf.get_u8()) } else { Err(NotAMessage) }
}

fn take_u16(buf: &mut impl Buf) -> Result<u16, NotAMessage> {
    if buf.remaining() < 2 { Err(NotAMessage) } else { Ok(buf.get_u16()) }
}

impl Codec<Name> for Compact {
    type Error = NotAMessage;

    fn encode_header(&mut self, header: &Header<Name>, mut buf: impl BufMut) -> Result<(), NotAMessage> {
        put_name(header.src, &mut buf);
        buf.put_u16(header.src_incarnation);
        put_name(header.dst, &mut buf);
        let (kind, number, name) = match &header.message {
            Message::Ping(number) => (0, Some(number), None),
            Message::Ack(number) => (1, Some(number), None),
            Message::PingReq { target, probe_number } => (2, Some(probe_number), Some(target)),
            Message::IndirectPing { origin, probe_number } => (3, Some(probe_number), Some(origin)),
            Message::IndirectAck { target, probe_number } => (4, Some(probe_number), Some(target)),
            Message::ForwardedAck { origin, probe_number } => (5, Some(probe_number), Some(origin)),
            Message::Announce => (6, None, None),
            Message::Feed => (7, None, None),
            Message::Gossip => (8, None, None),
            Message::Broadcast => (9, None, None),
            Message::TurnUndead => (10, None, None),
        };
        buf.put_u8(kind);
        if let Some(number) = number {
            buf.put_u8(*number);
        }
        if let Some(name) = name {
            put_name(*name, &mut buf);
        }
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Name>, NotAMessage> {
        let buf = &mut buf;
        let (src, src_incarnation, dst) = (take_name(buf)?, take_u16(buf)?, take_name(buf)?);
        let message = match take_u8(buf)? {
            0 => Message::Ping(take_u8(buf)?),
            1 => Message::Ack(take_u8(buf)?),
            2 => Message::PingReq { probe_number: take_u8(buf)?, target: take_name(buf)? },
            3 => Message::IndirectPing { probe_number: take_u8(buf)?, origin: take_name(buf)? },
            4 => Message::IndirectAck { probe_number: take_u8(buf)?, target: take_name(buf)? },
            5 => Message::ForwardedAck { probe_number: take_u8(buf)?, origin: take_name(buf)? },
            6 => Message::Announce,
            7 => Message::Feed,
            8 => Message::Gossip,
            9 => Message::Broadcast,
            10 => Message::TurnUndead,
            _ => return Err(NotAMessage),
        };
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(&mut self, member: &Member<Name>, mut buf: impl BufMut) -> Result<(), NotAMessage> {
        if buf.remaining_mut() < 11 {
            return Err(NotAMessage);
        }
        put_name(*member.id(), &mut buf);
        buf.put_u16(member.incarnation());
        buf.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Name>, NotAMessage> {
        let buf = &mut buf;
        let (name, incarnation) = (take_name(buf)?, take_u16(buf)?);
        let state = match take_u8(buf)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(NotAMessage),
        };
        Ok(Member::new(name, incarnation, state))
    }
}
