use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{MAX_BANS, MAX_ORDER_BYTES, Order, OrderBody, OrderBook, OrderError, SignedOrder};
use crate::alive::Life;
use crate::id::{Generation, Incarnation, MemberId, MeshId, PublicKey, Session};
use crate::identity::{Ed25519Verifier, Identity};
use crate::keyring::{KeyHash, Keyring, KeyringError, MeshKey};
use crate::signature::{Signature, Signer};

/// Signs nothing, which is enough where nobody checks.
struct Nobody;

impl Signer for Nobody {
    fn public_key(&self) -> PublicKey {
        PublicKey([0; 32])
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([0xAA; 64])
    }
}

fn order(number: u64, body: OrderBody) -> SignedOrder {
    SignedOrder::sign(Order { number, body }, MeshId::of("test"), &Nobody)
}

fn member(byte: u8) -> MemberId {
    MemberId::from_bytes([byte; 16])
}

fn key(byte: u8) -> MeshKey {
    MeshKey::from_bytes([byte; 32])
}

fn hash(byte: u8) -> KeyHash {
    key(byte).hash()
}

const LAST: Life =
    Life { generation: Generation(u64::MAX), session: Session(u64::MAX), incarnation: Incarnation(u64::MAX) };

#[test]
fn the_format_is_pinned() {
    let hex = |body| -> String {
        let signed = order(1_000, body);
        let bytes = signed.bytes();
        assert!(bytes.ends_with(&[0xAA; 64]));
        bytes[..bytes.len() - 64].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let life = Life { generation: Generation(1), session: Session(2), incarnation: Incarnation(300) };
    assert_eq!(hex(OrderBody::Install(key(7))), format!("fbe80300{}", "07".repeat(32)));
    assert_eq!(hex(OrderBody::Use(KeyHash([1, 2, 3, 4]))), "fbe8030101020304");
    assert_eq!(hex(OrderBody::Remove(KeyHash([1, 2, 3, 4]))), "fbe8030201020304");
    assert_eq!(hex(OrderBody::Ban(member(9))), format!("fbe80303{}", "09".repeat(16)));
    assert_eq!(hex(OrderBody::Unban(member(9))), format!("fbe80304{}", "09".repeat(16)));
    assert_eq!(hex(OrderBody::Forget(member(9), life)), format!("fbe80305{}0102fb2c01", "09".repeat(16)));
}

#[test]
fn only_the_operator_of_this_mesh_is_obeyed() {
    let (operator, rogue) = (Identity::ephemeral(), Identity::ephemeral());
    let (mesh, verifier) = (MeshId::of("test"), Ed25519Verifier::new());
    let order = Order { number: u64::MAX, body: OrderBody::Forget(member(1), LAST) };
    let signed = SignedOrder::sign(order.clone(), mesh, &operator);
    assert!(signed.bytes().len() <= MAX_ORDER_BYTES);
    let verify = |bytes: &[u8], mesh, key: &PublicKey| SignedOrder::verify(bytes, mesh, key, &verifier);
    let good = verify(signed.bytes(), mesh, &operator.public_key()).unwrap();
    assert_eq!((&good, good.order()), (&signed, &order));
    assert_eq!(verify(signed.bytes(), mesh, &rogue.public_key()), Err(OrderError::Forged));
    assert_eq!(verify(signed.bytes(), MeshId::of("else"), &operator.public_key()), Err(OrderError::Forged));
    for at in 0..signed.bytes().len() {
        let mut damaged = signed.bytes().to_vec();
        damaged[at] ^= 1;
        verify(&damaged, mesh, &operator.public_key()).unwrap_err();
        verify(&signed.bytes()[..at], mesh, &operator.public_key()).unwrap_err();
    }
}

#[test]
fn a_key_is_not_shown_with_its_order() {
    let shown = format!("{:?}", order(1, OrderBody::Install(key(0xAB))).order());
    assert!(shown.contains(&hash(0xAB).to_string()) && !shown.contains("171"), "{shown}");
}

#[test]
fn the_later_order_counts_whichever_comes_first() {
    let mut book = OrderBook::new();
    assert!(book.apply(order(5, OrderBody::Ban(member(1)))));
    assert!(!book.apply(order(5, OrderBody::Ban(member(1)))));
    assert!(!book.apply(order(4, OrderBody::Unban(member(1)))));
    assert!(book.is_banned(&member(1)) && !book.is_banned(&member(2)));
    assert!(book.apply(order(6, OrderBody::Unban(member(1)))));
    assert!(!book.is_banned(&member(1)));
    assert!(book.apply(order(6, OrderBody::Forget(member(1), LAST))));
    assert_eq!(book.forgotten(&member(1)), Some(LAST));
    assert_eq!(book.next_number(3), 7);
    assert_eq!(book.next_number(30), 30);
}

#[test]
fn a_rotation_by_orders_works_in_any_order_of_arrival() {
    let own = Keyring::new(key(1));
    let orders =
        [order(1, OrderBody::Install(key(2))), order(2, OrderBody::Use(hash(2))), order(3, OrderBody::Remove(hash(1)))];
    for [a, b, c] in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut book = OrderBook::new();
        for at in [a, b, c] {
            book.apply(orders[at].clone());
            let (ring, _) = book.keyring(&own);
            assert!(!ring.list().is_empty());
        }
        let (ring, failed) = book.keyring(&own);
        assert_eq!((ring.list(), failed), (vec![hash(2)], vec![]));
        // After a restart with the ring on disk nothing changes.
        let (again, failed) = book.keyring(&ring);
        assert_eq!((again.list(), failed), (vec![hash(2)], vec![]));
    }
    let mut book = OrderBook::new();
    book.apply(orders[1].clone());
    book.apply(orders[2].clone());
    let (ring, failed) = book.keyring(&own);
    assert_eq!(ring.list(), [hash(1)], "the key that seals stays");
    assert_eq!(failed, [KeyringError::Unknown(hash(2)), KeyringError::InUse(hash(1))]);
}

fn any_order() -> impl Strategy<Value = SignedOrder> {
    let body = (0..7_u8, 0..6_u8, any::<u64>()).prop_map(|(who, what, life)| match what {
        0 => OrderBody::Install(key(who)),
        1 => OrderBody::Use(hash(who)),
        2 => OrderBody::Remove(hash(who)),
        3 => OrderBody::Ban(member(who)),
        4 => OrderBody::Unban(member(who)),
        _ => OrderBody::Forget(member(who), Life { generation: Generation(life), ..LAST }),
    });
    (0..40_u64, body).prop_map(|(number, body)| order(number, body))
}

/// More bans than fit, with numbers that collide.
fn many_bans() -> impl Strategy<Value = Vec<SignedOrder>> {
    let ban = (any::<[u8; 2]>(), 0..500_u64, any::<bool>()).prop_map(|(who, number, ban)| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&who);
        let id = MemberId::from_bytes(id);
        order(number, if ban { OrderBody::Ban(id) } else { OrderBody::Unban(id) })
    });
    proptest::collection::vec(ban, MAX_BANS..MAX_BANS + 60)
}

fn book_of(orders: &[SignedOrder]) -> OrderBook {
    let mut book = OrderBook::new();
    for order in orders {
        book.apply(order.clone());
    }
    book
}

proptest! {
    #[test]
    fn books_agree_whatever_came_first(
        (given, shuffled) in prop_oneof![proptest::collection::vec(any_order(), 0..60), many_bans()]
            .prop_flat_map(|orders| (Just(orders.clone()), Just(orders).prop_shuffle()))
    ) {
        let (one, mut other) = (book_of(&given), book_of(&shuffled));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.digest(), other.digest());
        for order in one.iter().chain(&given) {
            prop_assert!(!other.apply(order.clone()), "again is nothing new");
        }
        prop_assert!(one.iter().count() <= MAX_BANS);
    }

    #[test]
    fn nothing_that_arrives_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let verifier = Ed25519Verifier::new();
        SignedOrder::verify(&bytes, MeshId::of("test"), &PublicKey([1; 32]), &verifier).unwrap_err();
    }
}
