//! What our core is measured against, in the same world: foca with its LAN preset, and chitchat alone.

pub mod chitchat;
pub mod foca;

use std::rc::Rc;

use crate::run::{Birth, Breed};
use chitchat::{ChitchatHost, Tokio};
use foca::FocaHost;

/// foca in scenarios.
pub struct FocaBreed {
    /// The seed of the world.
    pub seed: u64,
    /// About how many members there will be; the preset depends on it.
    pub size: u32,
}

impl Breed for FocaBreed {
    type Host = FocaHost;

    fn name(&self) -> &'static str {
        "foca"
    }

    fn seal_bytes(&self) -> usize {
        0
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["everything"]
    }

    fn make(&mut self, birth: &Birth) -> FocaHost {
        FocaHost::new(self.seed, birth.host, birth.life, self.size, birth.knows.clone())
    }
}

/// chitchat in scenarios.
pub struct ChitchatBreed {
    tokio: Rc<Tokio>,
    records: (u32, usize),
}

impl ChitchatBreed {
    /// Hosts that offer so many records of so many bytes from the start.
    ///
    /// # Errors
    /// What the operating system says when it refuses a runtime.
    pub fn new(records: (u32, usize)) -> std::io::Result<Self> {
        Ok(Self { tokio: Tokio::new()?, records })
    }
}

impl Breed for ChitchatBreed {
    type Host = ChitchatHost;

    fn name(&self) -> &'static str {
        "chitchat"
    }

    fn seal_bytes(&self) -> usize {
        0
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["SYN", "SYN-ACK", "ACK"]
    }

    fn make(&mut self, birth: &Birth) -> ChitchatHost {
        let (count, bytes) = self.records;
        let records = (0..count).map(|key| ChitchatHost::record(key, 1, bytes)).collect();
        ChitchatHost::new(birth.host, birth.life, Rc::clone(&self.tokio), birth.knows.clone(), records)
    }
}

/// The name a baseline goes by in a world.
fn id_of(host: u32) -> mesh_gossip::id::MemberId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&host.to_be_bytes());
    mesh_gossip::id::MemberId::from_bytes(id)
}
