//! The bytes of chitchat 0.11.2, as far as the guard has to read and write them, and the compression around them.
//!
//! The format is pinned with the crate's version: little endian, fixed width, texts behind a 16-bit length; a digest is
//! a 16-bit count and its entries; a delta is a sequence of operations cut into blocks, each compressed on its own.

use std::net::{IpAddr, SocketAddr};

use super::address::{LABEL_BYTES, Name};
use super::guard::Refused;

/// What a message may be after decompression, and what all blocks of its delta together.
pub(super) const MAX_INFLATED_BYTES: usize = 512 * 1024;

/// The most bytes of a message as it travels. Honest ones are below 66 KB even when they do not compress.
pub(super) const MAX_MESSAGE_BYTES: usize = 128 * 1024;

pub(super) const HEADER: [u8; 3] = [0x53, 0xb0, 0];

pub(super) const SYN: u8 = 0;
pub(super) const SYN_ACK: u8 = 1;
pub(super) const ACK: u8 = 2;

pub(super) const NODE: u8 = 0;
pub(super) const KEY_VALUE: u8 = 1;
pub(super) const SET_MAX_VERSION: u8 = 2;

const NO_MORE_BLOCKS: u8 = 0;
const COMPRESSED: u8 = 1;
const PLAIN: u8 = 2;

const LEVEL: i32 = 1;

/// Compresses a message for its way.
pub(super) fn deflate(message: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(message, LEVEL).expect("compressing into a buffer of the bound's size cannot fail")
}

/// Undoes [`deflate`], into no more than [`MAX_INFLATED_BYTES`].
pub(super) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(Refused::TooLong);
    }
    zstd::bulk::decompress(bytes, MAX_INFLATED_BYTES).map_err(|_| Refused::Uncompressible)
}

/// Reads chitchat's primitives; every answer is `Malformed` when the bytes run out.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Refused> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        self.take(N)?.try_into().map_err(|_| Refused::Malformed)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refused> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refused> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// The name behind an id; `None` when it is one that no member can have.
    pub(super) fn name(&mut self) -> Result<Option<Name>, Refused> {
        let label = self.text()?;
        let generation = self.u64()?;
        let ip: IpAddr = match self.u8()? {
            4 => self.array::<4>()?.into(),
            6 => self.array::<16>()?.into(),
            _ => return Err(Refused::Malformed),
        };
        let address = SocketAddr::new(ip, self.u16()?);
        Ok(Name::from_parts(label, generation, address))
    }

    /// All blocks of a delta, decompressed and joined.
    pub(super) fn blocks(&mut self) -> Result<Vec<u8>, Refused> {
        let mut joined = Vec::new();
        let mut block = Vec::new();
        loop {
            let kind = self.u8()?;
            if kind == NO_MORE_BLOCKS {
                return Ok(joined);
            }
            let bytes = self.text()?;
            let plain: &[u8] = match kind {
                COMPRESSED => {
                    block.resize(usize::from(u16::MAX), 0);
                    let length = zstd::bulk::decompress_to_buffer(bytes, block.as_mut_slice())
                        .map_err(|_| Refused::Uncompressible)?;
                    &block[..length]
                }
                PLAIN => bytes,
                _ => return Err(Refused::Malformed),
            };
            if joined.len() + plain.len() > MAX_INFLATED_BYTES {
                return Err(Refused::Bomb);
            }
            joined.extend_from_slice(plain);
        }
    }
}

/// Writes a name as chitchat writes an id.
pub(super) fn write_name(out: &mut Vec<u8>, name: &Name) {
    write_text(out, name.label());
    debug_assert_eq!(name.label().len(), LABEL_BYTES);
    out.extend_from_slice(&0_u64.to_le_bytes());
    out.push(4);
    out.extend_from_slice(&name.ip().octets());
    out.extend_from_slice(&name.port().to_le_bytes());
}

/// Writes a text behind its length. Texts of ours are far below 64 KB.
pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("our texts are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
}

/// Writes operations as blocks that need no decompression.
pub(super) fn write_blocks(out: &mut Vec<u8>, operations: &[u8]) {
    for block in operations.chunks(usize::from(u16::MAX)) {
        out.push(PLAIN);
        write_text(out, block);
    }
    out.push(NO_MORE_BLOCKS);
}
