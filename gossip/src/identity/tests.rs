use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::tempdir;

use super::operator::{OperatorKey, OperatorKeyError, load_public};
use super::slot::Slot;
use super::{Ed25519Verifier, Identity, IdentityError, mesh_key};
use crate::alive::KeyLife;
use crate::id::PublicKey;
use crate::keyring::Keyring;
use crate::signature::{Signature, Signer, Verifier};

fn damaged_copies(directory: &Path) -> usize {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().contains(".damaged-")).count()
}

#[test]
fn a_restart_continues_and_a_second_process_is_a_replica() {
    let disk = tempdir().unwrap();
    let first = Identity::acquire(disk.path(), "greeter").unwrap();
    let second = Identity::acquire(disk.path(), "greeter").unwrap();
    assert_ne!(first.id(), second.id());
    assert_eq!(first.key_life(), KeyLife::Kept);
    let (id, generation, session) = (first.id(), first.generation(), first.session());
    drop(first);
    let again = Identity::acquire(disk.path(), "greeter").unwrap();
    assert_eq!(again.id(), id);
    assert!(again.generation() > generation);
    assert_ne!(again.session(), session);
    assert_ne!(Identity::acquire(disk.path(), "other").unwrap().id(), id);
}

#[test]
fn generations_rise_also_when_the_clock_steps_back() {
    let disk = tempdir().unwrap();
    let slot = Slot::acquire(disk.path().join("a"), 0).unwrap();
    let generations = [1_000, 1_000, 500, 0, 2_000].map(|clock| slot.next_generation(clock).unwrap().0);
    assert_eq!(generations, [1_000, 1_001, 1_002, 1_003, 2_000]);
}

#[test]
fn damaged_files_are_set_aside_and_work_goes_on() {
    let disk = tempdir().unwrap();
    let before = Identity::acquire(disk.path(), "a").unwrap();
    let directory = before.directory().unwrap().to_owned();
    let (id, generation) = (before.id(), before.generation());
    drop(before);
    let key = fs::read(directory.join("key")).unwrap();
    let mut flipped = key.clone();
    flipped[30] ^= 1;
    let rubbish: [(&str, &[u8]); 5] = [
        ("key", &flipped),
        ("key", &key[..40]),
        ("key", &[0xff; 9_000]),
        ("generation", b"many"),
        ("generation", b"18446744073709551615"),
    ];
    for (number, (name, bytes)) in rubbish.into_iter().enumerate() {
        fs::write(directory.join("key"), &key).unwrap();
        fs::write(directory.join(name), bytes).unwrap();
        let after = Identity::acquire(disk.path(), "a").unwrap();
        assert_eq!(after.id() == id, name == "generation", "{number}");
        assert!(after.generation() >= generation, "{number}");
        assert_eq!(damaged_copies(&directory), number + 1);
    }
}

#[test]
fn of_two_processes_with_a_copied_key_one_moves_for_good() {
    let (disk, copy) = (tempdir().unwrap(), tempdir().unwrap());
    let original = Identity::acquire(disk.path(), "a").unwrap();
    let directory = copy.path().join("a/slot-0");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(original.directory().unwrap().join("key"), directory.join("key")).unwrap();
    let copied = Identity::acquire(copy.path(), "a").unwrap();
    assert_eq!(copied.id(), original.id());
    assert_ne!(copied.session(), original.session());
    let moved = copied.next_slot().unwrap();
    assert_ne!(moved.id(), original.id());
    let id = moved.id();
    drop((copied, moved));
    assert_eq!(Identity::acquire(copy.path(), "a").unwrap().id(), id, "also after a restart");
}

#[test]
fn without_a_disk_there_is_an_error_and_an_ephemeral_key() {
    let disk = tempdir().unwrap();
    let file = disk.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Identity::acquire(&file, "a"), Err(IdentityError::Disk { .. })));
    for name in ["", ".", "..", "../a", "a/b", "ä", &"a".repeat(129)] {
        assert!(matches!(Identity::acquire(disk.path(), name), Err(IdentityError::BadName { .. })), "{name}");
    }
    let ephemeral = Identity::ephemeral();
    assert_eq!(ephemeral.key_life(), KeyLife::Ephemeral);
    assert_ne!(ephemeral.next_slot().unwrap().id(), ephemeral.id());
}

#[cfg(unix)]
#[test]
fn secrets_can_be_read_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let disk = tempdir().unwrap();
    let identity = Identity::acquire(disk.path(), "a").unwrap();
    mesh_key::load_or_create(disk.path()).unwrap();
    OperatorKey::make(disk.path()).unwrap();
    for secret in
        [identity.directory().unwrap().join("key"), disk.path().join("mesh.key"), disk.path().join("operator.key")]
    {
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600, "{}", secret.display());
    }
    assert!(!format!("{identity:?}").contains("SigningKey"));
}

#[test]
fn whoever_starts_first_makes_the_mesh_key_and_the_others_get_that_one() {
    for _ in 0..20 {
        let disk = tempdir().unwrap();
        let state = disk.path().join("new/state");
        let keys: BTreeSet<_> = std::thread::scope(|scope| {
            let starters: Vec<_> =
                (0..8).map(|_| scope.spawn(|| mesh_key::load_or_create(&state).unwrap().list())).collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "no temporary file stays");
    }
}

#[test]
fn a_rotated_ring_is_kept_and_a_damaged_one_is_never_replaced() {
    let disk = tempdir().unwrap();
    let mut ring = mesh_key::load_or_create(disk.path()).unwrap();
    let new = mesh_key::generate();
    ring.install(new.clone()).unwrap();
    ring.use_key(new.hash()).unwrap();
    mesh_key::store(disk.path(), &ring).unwrap();
    assert_eq!(mesh_key::load_or_create(disk.path()).unwrap().list(), ring.list());

    let file = disk.path().join("mesh.key");
    for rubbish in [&b""[..], b"secret\n", &[0xff; 40], &[b'A'; 10_000]] {
        fs::write(&file, rubbish).unwrap();
        mesh_key::load_or_create(disk.path()).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), rubbish);
    }
    fs::write(&file, format!("{}\n", *Keyring::new(new.clone()).primary().to_text())).unwrap();
    assert_eq!(mesh_key::load_or_create(disk.path()).unwrap().list(), [new.hash()]);
}

#[test]
fn an_operator_key_is_made_once() {
    let disk = tempdir().unwrap();
    assert!(matches!(OperatorKey::load(disk.path()), Err(OperatorKeyError::Missing { .. })));
    assert_eq!(load_public(disk.path()).unwrap(), None);
    let made = OperatorKey::make(disk.path()).unwrap();
    assert!(matches!(OperatorKey::make(disk.path()), Err(OperatorKeyError::Exists { .. })));
    assert_eq!(OperatorKey::load(disk.path()).unwrap().public_key(), made.public_key());
    assert_eq!(load_public(disk.path()).unwrap(), Some(made.public_key()));
    fs::write(disk.path().join("operator.key"), "x").unwrap();
    assert!(matches!(OperatorKey::load(disk.path()), Err(OperatorKeyError::Damaged { .. })));
}

#[test]
fn signatures_hold_for_their_key_and_message_only_and_remembering_changes_nothing() {
    let (identity, other) = (Identity::ephemeral(), Identity::ephemeral());
    let verifier = Ed25519Verifier::new();
    let signature = identity.sign(b"message");
    let key = identity.public_key();
    for _ in 0..2 {
        assert!(verifier.verify(&key, b"message", &signature));
        assert!(!verifier.verify(&key, b"messagf", &signature));
        assert!(!verifier.verify(&other.public_key(), b"message", &signature));
        for at in 0..64 {
            let mut damaged = signature;
            damaged.0[at] ^= 0x40;
            assert!(!verifier.verify(&key, b"message", &damaged), "byte {at}");
        }
    }
    // The neutral element signs anything, were the check not strict.
    let neutral = PublicKey(std::array::from_fn(|i| u8::from(i == 0)));
    let mut anything = Signature([0; 64]);
    anything.0[0] = 1;
    assert!(!verifier.verify(&neutral, b"message", &anything));
}

#[test]
fn many_threads_share_one_verifier() {
    let verifier = Arc::new(Ed25519Verifier::new());
    let identity = Identity::ephemeral();
    let signed: Vec<_> = (0..50_u8).map(|byte| ([byte; 40], identity.sign(&[byte; 40]))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    for (message, signature) in &signed {
                        assert!(verifier.verify(&identity.public_key(), message, signature));
                        assert!(!verifier.verify(&identity.public_key(), &message[1..], signature));
                    }
                }
            });
        }
    });
}

#[test]
fn tls_gets_the_same_key() {
    let identity = Identity::ephemeral();
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(identity.pkcs8().to_vec());
    let key = rustls::crypto::ring::sign::any_eddsa_type(&der).unwrap();
    let public = key.public_key().unwrap();
    assert_eq!(&public[public.len() - 32..], identity.public_key().0);
}
