//! Questions and answers over streams. The other side has proved that it is a member; that is all.

use bytes::Bytes;
use mesh_gossip::id::{Generation, MemberId, Session};
use mesh_gossip::pull::message::{
    Answer, MAX_ANSWER_BYTES, MAX_WANTS, Members, Question, Records, Repute, ToldMember, ToldRecords, Want,
};
use mesh_gossip::record::MAX_BLOB_BYTES;

use super::signed::{alive_corpus, order_corpus, record_corpus};

const MEMBER: MemberId = MemberId::from_bytes([3; 16]);

pub(super) fn question(bytes: &[u8]) {
    let Ok(question) = Question::decode(bytes) else { return };
    if let Question::Records { wants } = &question {
        assert!(wants.len() <= MAX_WANTS);
    }
    assert_eq!(Question::decode(&question.encode()), Ok(question));
}

pub(super) fn question_corpus() -> Vec<Vec<u8>> {
    let want = |above| Want { member: MEMBER, generation: Generation(3), session: Session(4), above };
    let questions = [
        Question::Members { after: None },
        Question::Members { after: Some(MEMBER) },
        Question::Records { wants: [0, 300, u64::MAX].map(want).to_vec() },
        Question::Blob { hash: [7; 32] },
    ];
    questions.iter().map(Question::encode).collect()
}

pub(super) fn answer(bytes: &[u8]) {
    let Ok(answer) = Answer::decode(bytes) else { return };
    if let Answer::Blob(blob) = &answer {
        assert!(blob.len() <= MAX_BLOB_BYTES);
    }
    let encoded = answer.encode();
    // Without compression a genuine answer may be longer than it came; beyond the bound it would not be sent.
    if encoded.len() <= MAX_ANSWER_BYTES {
        assert_eq!(Answer::decode(&encoded), Ok(answer));
    }
}

pub(super) fn answer_corpus() -> Vec<Vec<u8>> {
    let reputes = [Repute::Alive, Repute::Suspect, Repute::Dead, Repute::Left].into_iter();
    let told = alive_corpus().into_iter().cycle().zip(reputes).map(|(alive, repute)| ToldMember { alive, repute });
    let members = Members { members: told.collect(), orders: order_corpus(), more_after: Some(MEMBER) };
    let alive = alive_corpus().swap_remove(0);
    let records = ToldRecords { member: MEMBER, alive, records: record_corpus(), upto: 300, more: true };
    let answers = [
        Answer::Members(members),
        Answer::Records(Records { told: vec![records] }),
        Answer::Blob(Bytes::from_static(b"a small blob")),
        // Compresses well, so that what unpacks is reached too.
        Answer::Blob(Bytes::from(vec![b'z'; 9000])),
        Answer::Missing,
        Answer::Unsupported,
    ];
    answers.iter().map(Answer::encode).collect()
}
