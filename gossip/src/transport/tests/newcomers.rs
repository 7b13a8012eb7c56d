//! What somebody can do who has not proved anything.

use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint};

use super::{LOOPBACK, Limits, Node, Recipe, SOON, TestSigner};
use crate::id::PublicKey;
use crate::signature::{Signature, Signer};
use crate::transport::proof::PROOF_BYTES;
use crate::transport::quic::{AskError, Close, DialError};
use crate::transport::tls::Identity;

/// A client with a key of its own, windows as large as quinn gives, and no manners.
fn stranger(seed: u8, to: &Node) -> (Endpoint, quinn::Connecting) {
    let endpoint = Endpoint::client(LOOPBACK).unwrap();
    let (tls, _) = Identity::new(TestSigner::seeded(seed)).client_config(to.id).unwrap();
    let connecting =
        endpoint.connect_with(quinn::ClientConfig::new(std::sync::Arc::new(tls)), to.address, "mesh").unwrap();
    (endpoint, connecting)
}

async fn reason(connection: &Connection) -> Option<Close> {
    match tokio::time::timeout(SOON, connection.closed()).await.expect("closed in time") {
        ConnectionError::ApplicationClosed(close) => Close::from_code(close.error_code),
        other => panic!("{other}"),
    }
}

macro_rules! pends {
    ($future:expr) => {
        tokio::select! {
            biased;
            outcome = $future => panic!("{:?} is possible", outcome.map(drop)),
            () = std::future::ready(()) => {}
        }
    };
}

#[tokio::test]
async fn an_unproved_client_parks_at_most_4_kb_on_one_stream() {
    let b = Recipe::of(2).start();
    let (_endpoint, connecting) = stranger(9, &b);
    let client = connecting.await.unwrap();
    assert_eq!(client.max_datagram_size(), None);
    pends!(client.open_uni());
    let (mut send, _receive) = client.open_bi().await.unwrap();
    pends!(client.open_bi());
    let accepted = send.write(&vec![0; 1 << 20]).await.unwrap();
    assert!(accepted <= 4_096, "{accepted} bytes");
    assert_eq!(reason(&client).await, Some(Close::BadProof));
    let sent = client.stats().udp_tx.bytes;
    assert!(sent < 12_000, "{sent} bytes on the wire, handshake and acknowledgements included");
    assert_eq!(b.quic.counts().accepted, 0);
}

#[tokio::test]
async fn garbage_short_long_empty_or_none_is_not_a_proof() {
    let limits = Limits { handshake_deadline: Duration::from_millis(300), ..Limits::default() };
    let b = Recipe { limits, ..Recipe::of(2) }.start();
    for length in [0, 1, PROOF_BYTES - 1, PROOF_BYTES + 1, 4_096] {
        let (_endpoint, connecting) = stranger(9, &b);
        let client = connecting.await.unwrap();
        let (mut send, _receive) = client.open_bi().await.unwrap();
        send.write_all(&vec![1; length]).await.unwrap();
        // A server that has seen enough may have closed already.
        let _ = send.finish();
        assert_eq!(reason(&client).await, Some(Close::BadProof), "{length} bytes");
    }
    let mut right_length = [0xab; PROOF_BYTES];
    right_length[0] = 1;
    let (_endpoint, connecting) = stranger(9, &b);
    let client = connecting.await.unwrap();
    let (mut send, _receive) = client.open_bi().await.unwrap();
    send.write_all(&right_length).await.unwrap();
    send.finish().unwrap();
    assert_eq!(reason(&client).await, Some(Close::OtherMesh));

    let (_endpoint, connecting) = stranger(9, &b);
    assert_eq!(reason(&connecting.await.unwrap()).await, Some(Close::Late), "silence");
}

#[tokio::test]
async fn the_unproved_are_few_and_the_proved_get_through_again_when_they_are_gone() {
    let limits = Limits { handshake_deadline: Duration::from_millis(500), max_unproved: 3, ..Limits::default() };
    let mut b = Recipe { limits, ..Recipe::of(2) }.start();
    b.echo();
    let mut inside = Vec::new();
    for seed in 10..13 {
        let (endpoint, connecting) = stranger(seed, &b);
        inside.push((endpoint, connecting.await.unwrap()));
    }
    let a = Recipe::of(1).start();
    assert_eq!(a.ask(&b, "x").await, Err(AskError::Dial(DialError::Busy)));
    for (_, connection) in &inside {
        assert_eq!(reason(connection).await, Some(Close::Late));
    }
    // The last place may be freed a moment after its holder was told.
    while let Err(error) = a.ask(&b, "x").await {
        assert_eq!(error, AskError::Dial(DialError::Busy));
    }
}

/// Signs with the neutral element of the curve, under which the same bytes are a signature of every message for a
/// verifier that is not strict.
struct Anybody;

impl Signer for Anybody {
    fn public_key(&self) -> PublicKey {
        PublicKey(std::array::from_fn(|i| u8::from(i == 0)))
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature(std::array::from_fn(|i| u8::from(i == 0)))
    }
}

#[tokio::test]
async fn a_key_under_which_anything_verifies_is_nobody_s() {
    let lax = ed25519_dalek::VerifyingKey::from_bytes(&Anybody.public_key().0).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&Anybody.sign(b"").0);
    assert!(ed25519_dalek::Verifier::verify(&lax, b"anything", &signature).is_ok(), "the test tests something");

    let b = Recipe::of(2).start();
    let endpoint = Endpoint::client(LOOPBACK).unwrap();
    let (tls, _) = Identity::new(std::sync::Arc::new(Anybody)).client_config(b.id).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(tls));
    // A client is done with its handshake before the listener has seen its signature.
    if let Ok(client) = endpoint.connect_with(config, b.address, "mesh").unwrap().await {
        assert!(matches!(client.closed().await, ConnectionError::ConnectionClosed(_)));
    }
    assert_eq!(b.quic.counts().closed(Close::Handshake), 1);

    let config = Identity::new(std::sync::Arc::new(Anybody)).server_config().unwrap();
    let server = Endpoint::server(quinn::ServerConfig::with_crypto(std::sync::Arc::new(config)), LOOPBACK).unwrap();
    let address = server.local_addr().unwrap();
    let listening = tokio::spawn(async move { server.accept().await.unwrap().await.is_ok() });
    let member = crate::id::MemberId::of(&Anybody.public_key());
    let outcome = b.quic.ask(member, address, "x".into(), 10, SOON).await;
    assert_eq!(outcome, Err(AskError::Dial(DialError::OtherProtocol)));
    assert!(!listening.await.unwrap());
}

#[tokio::test]
async fn a_listener_that_cannot_prove_itself_is_given_nothing() {
    let (tls, endpoint) = (Identity::new(TestSigner::seeded(2)), LOOPBACK);
    let config = quinn::ServerConfig::with_crypto(std::sync::Arc::new(tls.server_config().unwrap()));
    let endpoint = Endpoint::server(config, endpoint).unwrap();
    let address = endpoint.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        pends!(connection.open_bi());
        pends!(connection.open_uni());
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        // Sends the dialler's own proof back.
        let proof = receive.read_to_end(PROOF_BYTES).await.unwrap();
        send.write_all(&proof).await.unwrap();
        send.finish().unwrap();
        assert!(connection.accept_bi().await.is_err(), "nothing else was opened");
        reason(&connection).await
    });
    let a = Recipe::of(1).start();
    let outcome = a.quic.ask(super::id_of(2), address, "secret".into(), 10, SOON).await;
    assert_eq!(outcome, Err(AskError::Dial(DialError::WrongKey)));
    assert_eq!(server.await.unwrap(), Some(Close::WrongKey));
}
