//! Where a node is in its life, and what moves it on.

use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::Gossip;
use mesh_gossip::gossip::JoinState;
use mesh_gossip::gossip::MemberView;
use mesh_gossip::id::MemberId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has no view of the mesh yet.
    Joining,
    /// It serves and calls.
    Ready,
    /// It takes no new calls, and finishes those it has.
    Draining,
    /// It is gone.
    Stopped,
}

/// After how long of silence a node to which nobody named a seed takes itself for the first one.
const ALONE_AFTER: Duration = Duration::from_secs(1);

/// How long the records of members may still be on their way once we are part of the mesh.
const RECORDS_WITHIN: Duration = Duration::from_secs(2);

impl Phase {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// Waits until the view says what there is, so that what is absent from it is absent from the mesh. When being alone
/// `is_fine`, silence ends the wait.
pub(super) async fn first_view(gossip: &Gossip, is_fine: bool) {
    if is_fine {
        // Either it has joined, or it is taken for the first.
        let _ = gossip.joined(ALONE_AFTER).await;
    } else {
        let mut patience = Duration::from_secs(5);
        while let Err(why) = gossip.joined(patience).await {
            tracing::warn!(%why, "still looking for the mesh");
            patience = (patience * 2).min(Duration::from_secs(60));
        }
    }
    if gossip.join_state() != JoinState::Joined {
        return;
    }
    let deadline = Instant::now() + RECORDS_WITHIN;
    let mut views = gossip.watch();
    // Who comes later was absent when we came.
    let known: Vec<MemberId> = gossip.view().live().map(|member| member.id()).collect();
    let is_whole = |member: &Arc<MemberView>| member.is_whole() || !member.is_live();
    let complete = views.wait_for(|view| known.iter().all(|id| view.member(id).is_none_or(is_whole)));
    if timeout_at(deadline, complete).await.is_err() {
        tracing::info!("some members have not said yet what they offer");
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).expect("the runtime has its signal driver, and both may be listened for");
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits until the node has reached `phase` or a later one.
pub(super) async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // A node that is gone has reached every phase.
    let _ = phases.wait_for(|now| *now as u8 >= phase as u8).await;
}
