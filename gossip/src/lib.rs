//! What an agent believes about the mesh, and every decision that follows from belief: members, failure detection,
//! replicated records, catalog, resolver. A pure core under a thin runtime.

pub mod alive;
pub mod blob;
pub mod catalog;
pub mod config;
pub mod courier;
pub mod detect;
pub mod effects;
pub mod gossip;
pub mod id;
pub mod identity;
pub mod keyring;
pub mod moment;
pub mod order;
pub mod packet;
pub mod protocol;
pub mod pull;
pub mod record;
pub mod records;
pub mod reject;
pub mod resolve;
pub mod roster;
pub mod rumour;
pub mod schema;
pub mod seal;
pub mod seeds;
pub mod signature;
pub mod snapshot;
pub mod timer;
pub mod transport;
pub mod wire;

pub use effects::Standing;
pub use gossip::{Event, Gossip, GossipConfig, JoinState, MemberView, Metrics, View};
pub use id::MemberId;
pub use record::Key;
