//! An answer in pieces: frames, each with its MAC, so that nobody can change, drop, repeat or reorder one unnoticed.
//!
//! A frame is the length of its body (4 bytes, little endian), its kind (1 byte), its MAC (32 bytes), and its body.

use blake3::Hash;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::signing::Signer;
use super::wire::FrameKind;
use crate::context::MAX_PAYLOAD_BYTES;

/// The most bytes of a frame's body: a result, and what MCP puts around it.
pub const MAX_FRAME_BYTES: usize = MAX_PAYLOAD_BYTES + (1 << 20);

/// Bytes before a frame's body.
const HEAD: usize = 4 + 1 + 32;

/// Writes frames.
#[derive(Debug)]
pub struct FrameWriter {
    signer: Signer,
    number: u64,
}

/// Reads frames out of bytes as they come.
#[derive(Debug)]
pub struct FrameReader {
    signer: Signer,
    number: u64,
    held: BytesMut,
}

/// Bytes that are not the next frame. Give up: what follows cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Larger than any frame is.
    #[error("a frame of {0} bytes is larger than any that a node sends")]
    TooLarge(usize),
    /// Not what the node wrote.
    #[error("a frame is not signed by a holder of the mesh key: it does not come from the node that was asked")]
    Forged,
    /// Of a newer version.
    #[error("a frame of kind {0} is not known here: the node is newer than this meshctl")]
    UnknownKind(u8),
}

impl FrameWriter {
    /// Writes the frames of one answer.
    pub fn new(signer: Signer) -> Self {
        Self { signer, number: 0 }
    }

    /// What goes before `body`, which is to follow as it is.
    pub fn head(&mut self, kind: FrameKind, body: &[u8]) -> Bytes {
        let mut head = BytesMut::with_capacity(HEAD);
        head.put_u32_le(u32::try_from(body.len()).expect("a result is at most 64 MiB"));
        head.put_u8(kind.code());
        head.put_slice(self.signer.frame(self.number, kind.code(), body).as_bytes());
        self.number += 1;
        head.freeze()
    }
}

impl FrameReader {
    /// Reads the frames of one answer.
    pub fn new(signer: Signer) -> Self {
        Self { signer, number: 0, held: BytesMut::new() }
    }

    /// Takes bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next frame, once all of it is here.
    ///
    /// # Errors
    /// [`BadFrame`].
    pub fn next_frame(&mut self) -> Result<Option<(FrameKind, Bytes)>, BadFrame> {
        let Some((head, _)) = self.held.split_at_checked(HEAD) else { return Ok(None) };
        let (mut fields, kind) = (head, head[4]);
        let length = fields.get_u32_le() as usize;
        if length > MAX_FRAME_BYTES {
            return Err(BadFrame::TooLarge(length));
        }
        let mac = Hash::from_slice(&head[5..]).map_err(|_| BadFrame::Forged)?;
        if self.held.len() < HEAD + length {
            return Ok(None);
        }
        self.held.advance(HEAD);
        let body = self.held.split_to(length).freeze();
        if self.signer.frame(self.number, kind, &body) != mac {
            return Err(BadFrame::Forged);
        }
        self.number += 1;
        let kind = FrameKind::from_code(kind).ok_or(BadFrame::UnknownKind(kind))?;
        Ok(Some((kind, body)))
    }
}

impl FrameKind {
    const ALL: [Self; 4] = [Self::Update, Self::Served, Self::Result, Self::Failed];

    const fn code(self) -> u8 {
        match self {
            Self::Update => 1,
            Self::Served => 2,
            Self::Result => 3,
            Self::Failed => 4,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use mesh_gossip::keyring::MeshKey;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::{BadFrame, Bytes, FrameKind, FrameReader, FrameWriter, Signer};
    use crate::admin::signing::Nonce;

    fn signer(nonce: u8) -> Signer {
        Signer::new(&MeshKey::from_bytes([7; 32]), Nonce([nonce; 32]))
    }

    fn written(frames: &[(FrameKind, &[u8])]) -> Vec<Vec<u8>> {
        let mut writer = FrameWriter::new(signer(1));
        frames.iter().map(|(kind, body)| [&writer.head(*kind, body)[..], body].concat()).collect()
    }

    #[test]
    fn frames_arrive_as_they_were_written_however_they_are_cut() {
        let bytes = written(&[(FrameKind::Update, b"{}"), (FrameKind::Result, b"")]).concat();
        let mut reader = FrameReader::new(signer(1));
        let mut frames = Vec::new();
        for byte in bytes {
            reader.feed(&[byte]);
            frames.extend(reader.next_frame().unwrap());
        }
        assert_eq!(frames, [(FrameKind::Update, Bytes::from("{}")), (FrameKind::Result, Bytes::new())]);
    }

    #[test]
    fn frames_of_others_or_in_another_order_are_noticed() {
        let frames = written(&[(FrameKind::Update, b"1"), (FrameKind::Update, b"2")]);
        let mut reader = FrameReader::new(signer(1));
        reader.feed(&frames[1]);
        assert_eq!(reader.next_frame(), Err(BadFrame::Forged));
        let mut reader = FrameReader::new(signer(2));
        reader.feed(&frames[0]);
        assert_eq!(reader.next_frame(), Err(BadFrame::Forged));
        let mut reader = FrameReader::new(signer(1));
        reader.feed(&[0xff; 40]);
        assert_eq!(reader.next_frame(), Err(BadFrame::TooLarge(u32::MAX as usize)));
    }

    proptest! {
        #[test]
        fn no_bytes_are_taken_for_a_frame(bytes in proptest::collection::vec(any::<u8>(), 0..100), length in 0..50_u32) {
            let mut reader = FrameReader::new(signer(1));
            reader.feed(&length.to_le_bytes());
            reader.feed(&bytes);
            prop_assert_eq!(reader.next_frame().ok().flatten(), None);
        }
    }
}
