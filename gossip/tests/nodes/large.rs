//! What does not fit datagrams: blobs, and streams of other protocols.

use std::time::Duration;

use mesh_gossip::gossip::SetFailed;
use mesh_gossip::records::SetError;

use crate::bench::{PATIENCE, config, see_each_other, spawn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_64_kb_arrives_and_one_beyond_a_mebibyte_is_refused() {
    let first = spawn(config(&[])).await;
    let second = spawn(config(&[&first])).await;
    see_each_other(&[&first, &second]).await;
    let value: Vec<u8> = (0..64 << 10).map(|at: u32| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
    let key: mesh_gossip::Key = "schema".parse().unwrap();
    let mut events = second.events();
    first.set(key.clone(), value.clone()).await.unwrap();
    let arrives = async {
        loop {
            if let Some(arrived) = second.value(first.me(), key.clone()).await.unwrap() {
                return arrived;
            }
            events.next().await.unwrap();
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, arrives).await.unwrap(), value);
    let too_large = first.set(key.clone(), vec![0; (1 << 20) + 1]).await;
    assert_eq!(too_large, Err(SetFailed::Refused(SetError::TooLarge)));
    assert_eq!(first.value(first.me(), key).await.unwrap().unwrap(), value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_protocols_have_streams_of_their_own() {
    let first = spawn(config(&[])).await;
    let second = spawn(config(&[&first])).await;
    see_each_other(&[&first, &second]).await;
    let mut calls = first.register(40, 4).await.unwrap();
    first.register(40, 4).await.unwrap_err();
    first.register(3, 4).await.unwrap_err();
    let mut stream = second.open(first.me(), 40, Duration::from_secs(10)).await.unwrap();
    stream.send.write_all(b"question").await.unwrap();
    stream.send.finish().unwrap();
    let mut served = tokio::time::timeout(PATIENCE, calls.recv()).await.unwrap().unwrap();
    assert_eq!(served.member, second.me());
    assert_eq!(served.receive.read_to_end(100).await.unwrap(), b"question");
    served.send.write_all(b"answer").await.unwrap();
    served.send.finish().unwrap();
    assert_eq!(stream.receive.read_to_end(100).await.unwrap(), b"answer");
}
