//! The proof of the mesh key: what a connection must show before either end uses it.
//!
//! TLS has shown which key the other end holds; anybody can make a key. So each end sends, on the first stream, a MAC
//! under a key of the mesh. It covers what only the two ends of this very TLS session know (the exporter), so it can
//! neither be replayed nor passed on; the role, so that it cannot be reflected; and both public keys, because the TLS
//! 1.3 exporter is derived before the dialler's certificate and says nothing about it.
//!
//! The listener answers under the key that the dialler used: while a keyring rotates, that is one both hold.

use blake3::Hasher;

use crate::id::{MeshId, PublicKey, Session};
use crate::keyring::MeshKey;

/// Bytes of a proof on the wire: version, 4 of the mesh's id, 8 of the sender's session (little endian), 32 of MAC.
pub const PROOF_BYTES: usize = 1 + 4 + 8 + 32;

/// The label under which both ends draw secret bytes from the TLS session (RFC 8446 §7.5).
pub(super) const EXPORTER_LABEL: &[u8] = b"EXPORTER-mesh-proof-1";

const VERSION: u8 = 1;

/// Which end of a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that opened the connection.
    Dialler,
    /// The one that accepted it.
    Listener,
}

/// What both ends know once TLS is done, and what their proofs are about.
#[derive(Clone)]
pub struct Binding {
    /// The mesh in which the two want to talk.
    pub mesh: MeshId,
    /// The key that the dialler showed.
    pub dialler: PublicKey,
    /// The key that the listener showed.
    pub listener: PublicKey,
    /// Bytes that only the two ends of the TLS session can derive.
    pub exported: [u8; 32],
}

/// A proof that was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Which process the prover is, should two run with one key, or one have started again.
    pub session: Session,
    /// Which of the keys tried was used.
    pub key: usize,
}

/// Why a proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a proof, or one of a version we do not know.
    #[error("the proof of the mesh key is malformed")]
    Malformed,
    /// The prover means another mesh.
    #[error("the proof is for a mesh of another name")]
    OtherMesh,
    /// The prover holds none of our mesh keys, or the proof was made for another connection.
    #[error("the proof was made with none of our mesh keys")]
    WrongKey,
}

impl Binding {
    /// The proof that the end in `role`, whose process is `session`, holds `key`.
    pub fn prove(&self, role: Role, session: Session, key: &MeshKey) -> [u8; PROOF_BYTES] {
        let mut proof = [0; PROOF_BYTES];
        proof[0] = VERSION;
        proof[1..5].copy_from_slice(&self.mesh.0[..4]);
        proof[5..13].copy_from_slice(&session.0.to_le_bytes());
        proof[13..].copy_from_slice(self.mac(role, session, key).as_bytes());
        proof
    }

    /// Checks what the end in `role` sent against every one of `keys`.
    ///
    /// # Errors
    /// [`ProofError`] says what does not fit. The prover may be lying about everything in it.
    pub fn verify(&self, role: Role, proof: &[u8; PROOF_BYTES], keys: &[MeshKey]) -> Result<Proved, ProofError> {
        if proof[0] != VERSION {
            return Err(ProofError::Malformed);
        }
        if proof[1..5] != self.mesh.0[..4] {
            return Err(ProofError::OtherMesh);
        }
        let session = Session(u64::from_le_bytes(std::array::from_fn(|i| proof[5 + i])));
        let sent: [u8; 32] = std::array::from_fn(|i| proof[13 + i]);
        // blake3's hashes compare in constant time.
        let key = keys.iter().position(|key| self.mac(role, session, key) == sent);
        key.map(|key| Proved { session, key }).ok_or(ProofError::WrongKey)
    }

    fn mac(&self, role: Role, session: Session, key: &MeshKey) -> blake3::Hash {
        let mut mac = Hasher::new_keyed(&blake3::derive_key("mesh 2026 quic proof of the mesh key", key.as_bytes()));
        mac.update(&self.exported);
        mac.update(match role {
            Role::Dialler => b"d",
            Role::Listener => b"l",
        });
        mac.update(&self.mesh.0);
        mac.update(&self.dialler.0);
        mac.update(&self.listener.0);
        mac.update(&session.0.to_le_bytes());
        mac.finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const KEY: MeshKey = MeshKey::from_bytes([9; 32]);

    fn binding() -> Binding {
        Binding {
            mesh: MeshId::of("default"),
            dialler: PublicKey([1; 32]),
            listener: PublicKey([2; 32]),
            exported: [3; 32],
        }
    }

    #[test]
    fn a_proof_holds_for_one_connection_one_role_and_one_pair_only() {
        let (key, session) = (KEY, Session(7));
        let proof = binding().prove(Role::Dialler, session, &key);
        assert_eq!(
            binding().verify(Role::Dialler, &proof, &[MeshKey::from_bytes([8; 32]), key.clone()]),
            Ok(Proved { session, key: 1 })
        );
        assert_eq!(binding().verify(Role::Listener, &proof, std::slice::from_ref(&key)), Err(ProofError::WrongKey));
        assert_eq!(binding().verify(Role::Dialler, &proof, &[]), Err(ProofError::WrongKey));
        let others = [
            Binding { exported: [4; 32], ..binding() },
            Binding { dialler: PublicKey([4; 32]), ..binding() },
            Binding { listener: PublicKey([4; 32]), ..binding() },
        ];
        for other in others {
            assert_eq!(other.verify(Role::Dialler, &proof, std::slice::from_ref(&key)), Err(ProofError::WrongKey));
        }
        let elsewhere = Binding { mesh: MeshId::of("elsewhere"), ..binding() };
        assert_eq!(elsewhere.verify(Role::Dialler, &proof, std::slice::from_ref(&key)), Err(ProofError::OtherMesh));
    }

    #[test]
    fn the_bytes_of_a_proof_are_pinned() {
        const GOLDEN: &str =
            "010e8bbbac0807060504030201ce6ef5039fe19502106b3f8b4323cf3875f23ca21ce1dea555f508de4b884379";
        let proof = binding().prove(Role::Listener, Session(0x0102_0304_0506_0708), &KEY);
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    proptest! {
        #[test]
        fn no_other_bytes_are_a_proof(at in 0..PROOF_BYTES, flip in 1u8.., noise in any::<[u8; PROOF_BYTES]>()) {
            let mut proof = binding().prove(Role::Dialler, Session(7), &KEY);
            prop_assert!(binding().verify(Role::Dialler, &noise, &[KEY]).is_err());
            proof[at] ^= flip;
            prop_assert!(binding().verify(Role::Dialler, &proof, &[KEY]).is_err());
            prop_assert_eq!(proof.len(), PROOF_BYTES);
        }
    }
}
