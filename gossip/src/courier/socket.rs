//! The socket chitchat believes to own. It leads to the courier and nowhere else.
//!
//! Two rules live here. An opening message (SYN) passes only when the courier has just asked for it: chitchat's own
//! rounds, every tick to several members, are swallowed. And the socket says when chitchat is done with a message, so
//! that the courier hands it one thing at a time: at most one branch of chitchat's `select!` is ever ready, and what
//! it does does not depend on the order tokio polls them in.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chitchat::ChitchatMessage;
use chitchat::transport::{Socket, Transport};
use tokio::sync::mpsc;

/// What comes out of chitchat.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It sends this.
    Sent(ChitchatMessage),
    /// It is done with the message it was handed.
    Done,
}

/// The courier's end.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) inbound: mpsc::Sender<(SocketAddr, ChitchatMessage)>,
    pub(super) outcomes: mpsc::Receiver<Outcome>,
    asked: Arc<Mutex<Option<SocketAddr>>>,
}

impl Line {
    /// Lets the next opening message to `address` pass.
    pub(super) fn ask(&self, address: SocketAddr) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

/// A line and the transport through which chitchat opens its other end, once.
pub(super) fn line() -> (Line, impl Transport) {
    let (inbound, messages) = mpsc::channel(1);
    // One message makes at most an answer and a "done".
    let (outcomes, results) = mpsc::channel(4);
    let asked = Arc::new(Mutex::new(None));
    let wire = Wire { messages, outcomes, asked: Arc::clone(&asked), handling: false };
    (Line { inbound, outcomes: results, asked }, Plug(Mutex::new(Some(wire))))
}

struct Plug(Mutex<Option<Wire>>);

#[async_trait]
impl Transport for Plug {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let wire = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(wire.ok_or_else(|| anyhow::anyhow!("the line is already open"))?))
    }
}

struct Wire {
    messages: mpsc::Receiver<(SocketAddr, ChitchatMessage)>,
    outcomes: mpsc::Sender<Outcome>,
    asked: Arc<Mutex<Option<SocketAddr>>>,
    handling: bool,
}

impl Wire {
    fn passes(&self, to: SocketAddr, message: &ChitchatMessage) -> bool {
        match message {
            ChitchatMessage::Syn { .. } => {
                let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.take_if(|address| *address == to).is_some()
            }
            ChitchatMessage::SynAck { .. } | ChitchatMessage::Ack { .. } => true,
            // "Another mesh": the guard has settled that before.
            ChitchatMessage::BadCluster => false,
        }
    }
}

#[async_trait]
impl Socket for Wire {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        if self.passes(to, &message) {
            self.outcomes.send(Outcome::Sent(message)).await?;
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        // Asked for the next message: done with the last one.
        if self.handling {
            self.outcomes.send(Outcome::Done).await?;
            self.handling = false;
        }
        let message = self.messages.recv().await.ok_or_else(|| anyhow::anyhow!("the courier is gone"))?;
        self.handling = true;
        Ok(message)
    }
}
