//! How values become bytes: bincode 2, always with a limit, never trusting a length.
//!
//! The only module that names bincode. The configuration (variable-length integers, little endian) is part of the
//! format; golden-bytes tests pin it.

use bincode::{Decode, Encode, config};

/// Bytes that are not what they should be: damaged, truncated, oversized, followed by something, or not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes cannot be decoded")]
pub struct Malformed;

/// The bytes of `value`.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, config::standard()).expect("our own types encode into memory without fail")
}

/// The value that all of `bytes` stand for. `LIMIT` bounds what decoding may allocate, whatever lengths the bytes claim.
///
/// # Errors
/// [`Malformed`] when the bytes are not exactly one value.
pub fn decode<T: Decode<()>, const LIMIT: usize>(bytes: &[u8]) -> Result<T, Malformed> {
    match bincode::decode_from_slice(bytes, config::standard().with_limit::<LIMIT>()) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        _ => Err(Malformed),
    }
}

/// The value that some leading part of `bytes` stands for.
///
/// # Errors
/// [`Malformed`] when the bytes do not begin with such a value.
pub fn decode_prefix<T: Decode<()>, const LIMIT: usize>(bytes: &[u8]) -> Result<T, Malformed> {
    let decoded = bincode::decode_from_slice(bytes, config::standard().with_limit::<LIMIT>());
    decoded.map(|(value, _)| value).map_err(|_| Malformed)
}
