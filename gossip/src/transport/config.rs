//! What a QUIC endpoint is told when it is bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, CubicConfig};
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::error::BindError;
use crate::id::{MemberId, MeshId, Session};
use crate::keyring::MeshKey;
use crate::signature::Signer;

/// Payload of packets over loopback: as much as an endpoint takes, so that a call with a kilobyte is one packet.
const LOOPBACK_PACKET_BYTES: u16 = 1_452;

/// Kernel buffer asked for each way.
pub(super) const KERNEL_BUFFER_BYTES: usize = 4 << 20;

/// What an unproved client may have on the way to us, in its handshake and on its one stream each.
pub(super) const UNPROVED_BYTES: u32 = 4 << 10;

/// What a member may have on the way to us that we have not asked for; times the number of connections, this is what
/// all together can make us hold.
pub(super) const MEMBER_BYTES: u32 = 128 << 10;

/// The same on a connection over which we asked for more. Many streams of which nobody takes anything fit into it side
/// by side, so that they do not hold up the others.
pub(super) const WANTED_BYTES: u32 = 16 << 20;

/// The part of it that one stream may use up; at 40 ms this allows 12 MB/s.
pub(super) const STREAM_BYTES: u32 = 512 << 10;

/// Messages of all members together that we are in the middle of reading. Beyond it they are reset as busy.
pub(super) const INTAKE_BYTES: usize = 64 << 20;

/// How many streams a member may have open to us.
pub(super) const STREAMS: u32 = 64;

/// The same once it opened one of a registered kind: calls may take long.
pub(super) const WANTED_STREAMS: u32 = 1_024;

/// What the endpoint asks about others. The answers may change at any time and count from the next question on.
pub trait Trust: Send + Sync {
    /// The keys that prove membership, the one to prove ourselves with first.
    fn mesh_keys(&self) -> Vec<MeshKey>;

    /// Whether connections with this member are refused. Asked once its key is known; see [`Quic::disconnect`](super::quic::Quic::disconnect) for
    /// connections that exist.
    fn is_banned(&self, member: &MemberId) -> bool;

    /// Whether somebody at `address` may connect without first showing that it receives there, which costs it a round
    /// trip. A forged sender address costs us little (QUIC sends at most three times what it got), so "a member lives
    /// there" is a good answer.
    fn is_known(&self, address: SocketAddr) -> bool;
}

/// How a sender finds out how fast it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// By measuring rate and round trip; loses little to random loss.
    Bbr,
    /// By loss; the choice for links where losing packets means being too fast.
    Cubic,
}

/// How large packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketSize {
    /// 1,200 bytes of UDP payload, which every path carries, and 1,452 within a machine. The search for more costs each
    /// end about as much as the whole handshake, and most connections here carry a few kilobytes.
    Fixed,
    /// As large as the path carries, found by probes up to 1,452 bytes; a sixth fewer packets where megabytes flow.
    Probed,
}

/// What the endpoint allows itself and others. [`Limits::default`] fits a LAN and a WAN.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a handshake and both proofs may take together. Default 3 s.
    pub handshake_deadline: Duration,
    /// After how long without a packet a connection is given up. Default 30 s, as in RFC 9308.
    pub idle: Duration,
    /// How often an idle connection is pinged so that it does not end; `None`, the default, lets it.
    pub keep_alive: Option<Duration>,
    /// The round trip assumed before one was measured; a lost first packet costs about three of it. Default 40 ms.
    pub initial_rtt: Duration,
    /// How the sending rate is found. Default BBR.
    pub congestion: Congestion,
    /// How large packets are. Default fixed.
    pub packet_size: PacketSize,
    /// The most connections; the longest idle one makes room. Default 1,024.
    pub max_links: usize,
    /// The most clients that have not proved themselves, 8 KB each. Default 512.
    pub max_unproved: usize,
    /// The most of them from one IPv4 address or IPv6 /64; this machine's own nodes share no such bound. Default 64.
    pub max_unproved_per_source: usize,
    /// The most questions, and the most shipments, that wait for this node's attention. Default 64 each.
    pub max_waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_deadline: Duration::from_secs(3),
            idle: Duration::from_secs(30),
            keep_alive: None,
            initial_rtt: Duration::from_millis(40),
            congestion: Congestion::Bbr,
            packet_size: PacketSize::Fixed,
            max_links: 1_024,
            max_unproved: 512,
            max_unproved_per_source: 64,
            max_waiting: 64,
        }
    }
}

/// Who a node is on QUIC, and where.
pub struct QuicConfig {
    /// Where to listen; port 0 takes a free one, `[::]` takes IPv4 as well where the system can.
    pub address: SocketAddr,
    /// The mesh to talk in.
    pub mesh: MeshId,
    /// This process, as in its alive record.
    pub session: Session,
    /// Signs with the member's key.
    pub signer: Arc<dyn Signer>,
    /// Knows about others.
    pub trust: Arc<dyn Trust>,
    /// What is allowed.
    pub limits: Limits,
}

/// What a peer may do before it is proved; `streams` is how many it may open to prove itself. A peer `is_here` when it is
/// on this machine, to which larger packets go from the start: nothing between us has to be asked.
pub(super) fn transport(limits: &Limits, streams: u32, is_here: bool) -> Result<TransportConfig, BindError> {
    let idle = IdleTimeout::try_from(limits.idle).map_err(|_| BindError::Limits)?;
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(limits.keep_alive)
        .initial_rtt(limits.initial_rtt)
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(UNPROVED_BYTES.into())
        .stream_receive_window(STREAM_BYTES.into())
        .crypto_buffer_size(UNPROVED_BYTES as usize)
        .datagram_receive_buffer_size(None);
    config.mtu_discovery_config(match limits.packet_size {
        PacketSize::Fixed => None,
        PacketSize::Probed => Some(MtuDiscoveryConfig::default()),
    });
    if is_here {
        config.initial_mtu(LOOPBACK_PACKET_BYTES);
    }
    match limits.congestion {
        Congestion::Bbr => config.congestion_controller_factory(Arc::new(BbrConfig::default())),
        Congestion::Cubic => config.congestion_controller_factory(Arc::new(CubicConfig::default())),
    };
    Ok(config)
}
