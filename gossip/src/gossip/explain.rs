//! Why a node is not part of the mesh yet, in one sentence.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use crate::seal::{Advice, FORMAT_VERSION};

/// The most addresses whose advice is kept.
const ADVICE_MAX: usize = 64;

/// Whether a node is part of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinState {
    /// It looks for the mesh. That never ends, so the reason may go away by itself.
    Seeking(Obstacle),
    /// It is part of the mesh, or the whole of it.
    Joined,
}

/// What stands between a node and the mesh, as far as one can tell. Displayed, it is one sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The mesh there has the same name and another key.
    WrongKey {
        /// Who says so.
        at: SocketAddr,
    },
    /// Another mesh is there.
    OtherMesh {
        /// Who says so.
        at: SocketAddr,
        /// The name of ours.
        mesh: String,
    },
    /// Another version of this software is there.
    OtherVersion {
        /// Who says so.
        at: SocketAddr,
        /// What it speaks.
        theirs: u8,
    },
    /// Somebody answers over UDP, but cannot be asked over QUIC who else there is.
    NoStreams {
        /// Where QUIC was tried.
        at: SocketAddr,
    },
    /// No seed has an address.
    Unresolved {
        /// What the name service says about the first.
        why: String,
        /// How many more have none.
        more: usize,
    },
    /// Nobody has answered (yet).
    NobodyAnswered {
        /// One of those asked; nobody, when it has just begun.
        at: Option<SocketAddr>,
        /// How many more were asked.
        more: usize,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = |more: &usize| if *more == 0 { String::new() } else { format!(" (nor at {more} more)") };
        match self {
            Self::WrongKey { at } => {
                write!(f, "wrong mesh key: the mesh of this name at {at} uses another one; give this node that key")
            }
            Self::OtherMesh { at, mesh } => {
                write!(f, "other mesh name: at {at} is another mesh than {mesh:?}; correct the name or the seed")
            }
            Self::OtherVersion { at, theirs } => {
                write!(f, "other protocol version: {theirs} at {at}, {FORMAT_VERSION} here; upgrade whichever is lower")
            }
            Self::NoStreams { at } => {
                write!(f, "gossip is answered, but nobody can be reached by QUIC at {at}: is that UDP port blocked?")
            }
            Self::Unresolved { why, more } => write!(f, "{why}{}", others(more).replace("nor at", "and")),
            Self::NobodyAnswered { at: None, .. } => f.write_str("nobody has answered yet"),
            Self::NobodyAnswered { at: Some(at), more } => {
                write!(f, "nobody answered at {at}{}: the host is down, or UDP to it is blocked", others(more))
            }
        }
    }
}

/// What was found out while looking for the mesh.
#[derive(Debug, Default)]
pub(super) struct Findings {
    advice: BTreeMap<SocketAddr, Advice>,
    unreachable: Option<SocketAddr>,
    pub(super) unresolved: Vec<String>,
    pub(super) seeds: Vec<SocketAddr>,
}

impl Findings {
    /// Somebody refused what we sent.
    pub(super) fn advised(&mut self, by: SocketAddr, advice: Advice) {
        if self.advice.len() < ADVICE_MAX {
            self.advice.insert(by, advice);
        }
    }

    /// Somebody understood what we sent.
    pub(super) fn understood(&mut self, by: &SocketAddr) {
        self.advice.remove(by);
    }

    /// Somebody could not be asked over QUIC.
    pub(super) fn unreachable(&mut self, at: SocketAddr) {
        self.unreachable = Some(at);
    }

    /// Somebody answered over QUIC.
    pub(super) fn reached(&mut self) {
        self.unreachable = None;
    }

    /// The likeliest obstacle, as things stand.
    pub(super) fn obstacle(&self, mesh: &str) -> Obstacle {
        let advised = |wanted: fn(&Advice) -> bool| self.advice.iter().find(|(_, advice)| wanted(advice));
        let likeliest = advised(|advice| matches!(advice, Advice::WrongKey))
            .or_else(|| advised(|advice| matches!(advice, Advice::OtherVersion { .. })))
            .or_else(|| advised(|advice| matches!(advice, Advice::OtherMesh)));
        match likeliest {
            Some((at, Advice::WrongKey)) => return Obstacle::WrongKey { at: *at },
            Some((at, Advice::OtherVersion { theirs })) => {
                return Obstacle::OtherVersion { at: *at, theirs: *theirs };
            }
            Some((at, Advice::OtherMesh)) => return Obstacle::OtherMesh { at: *at, mesh: mesh.to_owned() },
            None => {}
        }
        if let Some(at) = self.unreachable {
            return Obstacle::NoStreams { at };
        }
        match (self.unresolved.first(), self.seeds.first()) {
            (Some(why), None) => Obstacle::Unresolved { why: why.clone(), more: self.unresolved.len() - 1 },
            (_, at) => Obstacle::NobodyAnswered { at: at.copied(), more: self.seeds.len().saturating_sub(1) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Advice, Findings, SocketAddr};

    #[test]
    fn the_likeliest_obstacle_is_one_sentence() {
        let mut findings = Findings::default();
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let said = |findings: &Findings| findings.obstacle("shop").to_string();
        assert_eq!(said(&findings), "nobody has answered yet");
        findings.unresolved = vec!["seed:7745 cannot be resolved: no such host".into(), "other".into()];
        assert_eq!(said(&findings), "seed:7745 cannot be resolved: no such host (and 1 more)");
        findings.seeds = vec![at(1), at(2), at(3)];
        let nobody = "nobody answered at 10.0.0.1:1 (nor at 2 more): the host is down, or UDP to it is blocked";
        assert_eq!(said(&findings), nobody);
        findings.unreachable(at(4));
        assert!(said(&findings).contains("QUIC at 10.0.0.1:4"));
        findings.advised(at(2), Advice::OtherMesh);
        assert!(said(&findings).starts_with("other mesh name: at 10.0.0.1:2 is another mesh than \"shop\""));
        findings.advised(at(1), Advice::OtherVersion { theirs: 9 });
        assert!(said(&findings).starts_with("other protocol version: 9 at 10.0.0.1:1, 1 here"));
        findings.advised(at(3), Advice::WrongKey);
        assert!(said(&findings).starts_with("wrong mesh key: the mesh of this name at 10.0.0.1:3"));
        findings.understood(&at(3));
        assert!(said(&findings).starts_with("other protocol version"));
    }
}
