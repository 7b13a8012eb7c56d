//! Answers that stop where they are full.

use std::sync::Arc;

use crate::id::MemberId;
use crate::pull::message::{Answer, Members, Records, Repute, ToldMember, ToldRecords, Want};
use crate::record::Record;

/// How many bytes a page has before it is compressed, by default. What does not fit is asked for again.
pub const PAGE_BYTES: usize = 1 << 20;

/// More than the lengths and flags beside an entry's own bytes.
const ENTRY_BYTES: usize = 48;

/// What is held of one member that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Its newest alive record.
    pub alive: &'a [u8],
    /// Its records that were asked for, oldest first (see [`Held::after`](crate::records::Held::after)).
    pub records: &'a [Arc<Record>],
}

/// The page of `members`, given in order of their ids and beginning where the question says, that fits into `limit`
/// bytes; at least one member. `orders` are told on the first page only, and count too.
pub fn members<'a>(
    members: impl IntoIterator<Item = (MemberId, &'a [u8], Repute)>,
    orders: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> Answer {
    let mut page = Members { orders: orders.into_iter().map(<[u8]>::to_vec).collect(), ..Members::default() };
    let mut used: usize = page.orders.iter().map(|order| order.len() + ENTRY_BYTES).sum();
    let mut last = None;
    for (id, alive, repute) in members {
        used += alive.len() + ENTRY_BYTES;
        if used > limit && last.is_some() {
            page.more_after = last;
            break;
        }
        page.members.push(ToldMember { alive: alive.to_vec(), repute });
        last = Some(id);
    }
    Answer::Members(page)
}

/// What `look` finds of each member asked for, as far as it fits into `limit` bytes; at least one record or one member.
pub fn records<'a>(wants: &[Want], limit: usize, mut look: impl FnMut(&Want) -> Option<Offer<'a>>) -> Answer {
    let mut told = Vec::new();
    let mut used = 0;
    for want in wants {
        let offer = look(want).unwrap_or(Offer { alive: &[], records: &[] });
        used += offer.alive.len() + ENTRY_BYTES;
        if used > limit && !told.is_empty() {
            break;
        }
        let mut entry = ToldRecords {
            member: want.member,
            alive: offer.alive.to_vec(),
            records: Vec::new(),
            upto: want.above,
            more: false,
        };
        for record in offer.records {
            used += record.bytes().len() + 3;
            if used > limit && !(told.is_empty() && entry.records.is_empty()) {
                entry.more = true;
                break;
            }
            entry.records.push(record.bytes().to_vec());
            entry.upto = record.version();
        }
        let full = entry.more;
        told.push(entry);
        if full {
            break;
        }
    }
    Answer::Records(Records { told })
}
