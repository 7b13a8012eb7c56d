//! Holds the place of blobs and pulls until they land.
use bytes::Bytes; use std::collections::BTreeMap;
/// x
#[derive(Debug, Default)] pub struct Blobs(BTreeMap<[u8;32],Bytes>);
impl Blobs {
    /// x
    pub fn keep(&mut self, b: Bytes) { self.0.insert(*blake3::hash(&b).as_bytes(), b); }
    /// x
    pub fn get(&self, h:&[u8;32]) -> Option<&Bytes> { self.0.get(h) }
    /// x
    pub fn release(&mut self, h:&[u8;32]) { self.0.remove(h); }
}
use crate::id::MemberId;
/// x
#[derive(Debug, Default)] pub struct Pull;
impl Pull {
    /// x
    pub fn satisfied(&mut self, _m: MemberId) {}
}
