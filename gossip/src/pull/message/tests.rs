#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{
    Answer, MAX_ANSWER_BYTES, MAX_QUESTION_BYTES, MAX_WANTS, Members, Question, QuestionError, Records, Repute,
};
use super::{ToldMember, ToldRecords, Want};
use crate::id::{Generation, MemberId, MeshId, PublicKey, Session};
use crate::pull::page::{self, Offer, PAGE_BYTES};
use crate::record::tests::Seal;
use crate::record::{MAX_BLOB_BYTES, Record, RecordBody, Value};
use crate::wire::Malformed;

const OWNER: Seal = Seal(PublicKey([7; 32]));

fn member(byte: u8) -> MemberId {
    MemberId::from_bytes([byte; 16])
}

fn want(byte: u8, above: u64) -> Want {
    Want { member: member(byte), generation: Generation(3), session: Session(5), above }
}

fn records(count: u64, length: usize) -> Vec<Arc<Record>> {
    let record = |version: u64| {
        let member = MemberId::of(&OWNER.0);
        let (generation, session) = (Generation(3), Session(5));
        let (key, value) =
            (format!("key-{version}").parse().unwrap(), Value::Inline(vec![version as u8; length].into()));
        let body = RecordBody { member, generation, session, key, version, value };
        Arc::new(Record::sign(body, MeshId::of("test"), &OWNER))
    };
    (1..=count).map(record).collect()
}

#[test]
fn the_wire_form_of_questions_is_pinned() {
    let pinned = [
        (Question::Members { after: None }, vec![1, 0]),
        (Question::Members { after: Some(member(9)) }, [&[1, 1], &[9; 16][..]].concat()),
        (Question::Records { wants: vec![want(9, 300)] }, [&[2, 1], &[9; 16][..], &[3, 5, 251, 44, 1]].concat()),
        (Question::Blob { hash: [8; 32] }, [&[3], &[8; 32][..]].concat()),
    ];
    for (question, bytes) in pinned {
        assert_eq!(question.encode(), bytes);
        assert_eq!(Question::decode(&bytes), Ok(question));
    }
}

#[test]
fn the_wire_form_of_answers_is_pinned() {
    let told_member = ToldMember { alive: vec![1, 2], repute: Repute::Dead };
    let members = Members { members: vec![told_member], orders: vec![vec![3]], more_after: Some(member(9)) };
    let told = ToldRecords { member: member(9), alive: vec![1], records: vec![vec![2, 3]], upto: 300, more: true };
    let pinned = [
        (Answer::Members(members), [&[1, 0, 1, 2, 1, 2, 2, 1, 1, 3, 1], &[9; 16][..]].concat()),
        (
            Answer::Records(Records { told: vec![told] }),
            [&[2, 0, 1], &[9; 16][..], &[1, 1, 1, 2, 2, 3, 251, 44, 1, 1]].concat(),
        ),
        (Answer::Blob(Bytes::from_static(b"blob")), b"\x03\0blob".to_vec()),
        (Answer::Missing, vec![4, 0]),
        (Answer::Unsupported, vec![5, 0]),
    ];
    for (answer, bytes) in pinned {
        assert_eq!(answer.encode(), bytes);
        assert_eq!(Answer::decode(&bytes), Ok(answer));
    }
}

#[test]
fn a_question_of_a_newer_node_is_told_from_damage() {
    assert_eq!(Question::decode(&[77, 1, 2]), Err(QuestionError::Unsupported));
    assert_eq!(Question::decode(&[1, 7]), Err(QuestionError::Malformed));
    assert_eq!(Question::decode(&[]), Err(QuestionError::Malformed));
    assert_eq!(Question::decode(&vec![1; MAX_QUESTION_BYTES + 1]), Err(QuestionError::Malformed));
}

#[test]
fn what_a_newer_node_adds_to_a_question_or_an_answer_is_ignored() {
    let members = Question::Members { after: Some(member(9)) };
    for question in [members, Question::Records { wants: vec![want(9, 300)] }, Question::Blob { hash: [8; 32] }] {
        assert_eq!(Question::decode(&[&question.encode()[..], b"added"].concat()), Ok(question));
    }
    let told = Answer::Members(Members { more_after: Some(member(9)), ..Members::default() });
    for answer in [told, Answer::Records(Records::default()), Answer::Missing, Answer::Unsupported] {
        assert_eq!(Answer::decode(&[&answer.encode()[..], b"added"].concat()), Ok(answer));
    }
}

#[test]
fn the_longest_question_is_within_its_bound_and_a_longer_one_is_refused() {
    let longest = Want { generation: Generation(u64::MAX), session: Session(u64::MAX), ..want(9, u64::MAX) };
    let question = |wants| Question::Records { wants: vec![longest; wants] };
    assert_eq!(Question::decode(&question(MAX_WANTS).encode()), Ok(question(MAX_WANTS)));
    assert_eq!(Question::decode(&question(MAX_WANTS + 1).encode()), Err(QuestionError::Malformed));
}

#[test]
fn the_largest_answers_come_through() {
    let noise: Bytes = (0..MAX_BLOB_BYTES).map(|at| blake3::hash(&at.to_le_bytes()).as_bytes()[0]).collect();
    let blob = Answer::Blob(noise);
    assert!(blob.encode().len() <= MAX_ANSWER_BYTES);
    assert_eq!(Answer::decode(&blob.encode()), Ok(blob));
    let small = records(20_000, 1);
    let answer = page::records(&[want(1, 0)], PAGE_BYTES, |_| Some(Offer { alive: &[], records: &small }));
    assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    let empty = vec![want(1, 0); MAX_WANTS];
    let answer = page::records(&empty, PAGE_BYTES, |_| None);
    assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
}

#[test]
fn a_bomb_is_refused_before_it_unpacks() {
    for length in [MAX_ANSWER_BYTES + 1, 1 << 28] {
        let bomb = zstd::bulk::compress(&vec![0; length], 19).unwrap();
        assert!(bomb.len() < MAX_ANSWER_BYTES / 8);
        assert_eq!(Answer::decode(&[&[3, 1], &bomb[..]].concat()), Err(Malformed));
    }
    assert_eq!(Answer::decode(&[&[2, 0], &[253; 9][..]].concat()), Err(Malformed));
}

#[test]
fn members_are_told_page_by_page() {
    let alive = [5; 200];
    let mut after = None;
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let rest = (0..100).map(member).filter(|id| after.is_none_or(|after| *id > after));
        let orders: &[&[u8]] = if after.is_none() { &[b"order"] } else { &[] };
        let answer = page::members(rest.map(|id| (id, &alive[..], Repute::Alive)), orders.iter().copied(), 3000);
        let bytes = answer.encode();
        let Ok(Answer::Members(page)) = Answer::decode(&bytes) else { panic!("not a page") };
        assert_eq!(page.orders.len(), usize::from(pages == 0));
        seen.extend(page.members);
        pages += 1;
        after = page.more_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (100, 9));
}

#[test]
fn records_are_told_until_the_page_is_full_and_go_on_from_there() {
    let held = records(100, 100);
    let wants = [want(1, 0), want(2, 0), want(3, 0)];
    let mut left: Vec<Want> = wants.to_vec();
    let mut told = [0; 3];
    let mut pages = 0;
    while !left.is_empty() {
        let look = |want: &Want| {
            let above = held.iter().position(|record| record.version() > want.above).unwrap_or(held.len());
            Some(Offer { alive: b"alive", records: &held[above..] })
        };
        let Answer::Records(page) = page::records(&left, 5000, look) else { panic!("not records") };
        for entry in page.told {
            assert_eq!(entry.alive, b"alive");
            told[usize::from(entry.member.as_bytes()[0]) - 1] += entry.records.len();
            let at = left.iter().position(|want| want.member == entry.member).unwrap();
            left[at].above = entry.upto;
            if !entry.more {
                left.remove(at);
            }
        }
        pages += 1;
        assert!(pages < 50);
    }
    assert_eq!(told, [100; 3]);
}

proptest! {
    #[test]
    fn bytes_of_strangers_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2000), kind in 0u8..7, zstd in 0u8..2) {
        let bytes = [&[kind, zstd], &bytes[..]].concat();
        if let Ok(answer) = Answer::decode(&bytes) {
            prop_assert!(answer.encode().len() <= MAX_ANSWER_BYTES);
        }
        if let Ok(Question::Records { wants }) = Question::decode(&bytes) {
            prop_assert!(wants.len() <= MAX_WANTS);
        }
    }

    #[test]
    fn damaged_pages_do_no_harm(at in any::<proptest::sample::Index>(), change in 1u8.., cut in any::<proptest::sample::Index>()) {
        let held = records(30, 50);
        let answer = page::records(&[want(1, 0)], PAGE_BYTES, |_| Some(Offer { alive: b"alive", records: &held }));
        let mut bytes = answer.encode();
        prop_assert_eq!(bytes[1], 1);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        drop(Answer::decode(&bytes));
        drop(Answer::decode(&bytes[..cut.index(bytes.len())]));
    }
}
