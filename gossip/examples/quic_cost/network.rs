//! A network of two sockets in memory: every packet takes the same time, some are lost, all are counted.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep_until};

/// Packets and bytes of UDP payload.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Traffic {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { packets: self.packets - earlier.packets, bytes: self.bytes - earlier.bytes }
    }
}

/// One end of the path.
#[derive(Debug)]
pub(crate) struct Socket {
    local: SocketAddr,
    inbox: Arc<Inbox>,
    outbox: Arc<Inbox>,
}

/// The path in one direction.
#[derive(Debug)]
pub(crate) struct Inbox(Mutex<Underway>);

#[derive(Debug)]
struct Underway {
    delay: Duration,
    loss: f64,
    rng: Pcg64Mcg,
    packets: VecDeque<(Instant, Vec<u8>)>,
    sent: Traffic,
    reader: Option<Waker>,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// A path with a delay each way, and a probability of loss for every packet; the two ends, the dialler's first.
pub(crate) fn path(delay: Duration, loss: f64, seed: u64) -> [Arc<Socket>; 2] {
    let [up, down] = [0, 1].map(|salt| Arc::new(Inbox::new(delay, loss, seed ^ salt)));
    let end = |port, inbox: &Arc<Inbox>, outbox: &Arc<Inbox>| {
        let local = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), port);
        Arc::new(Socket { local, inbox: Arc::clone(inbox), outbox: Arc::clone(outbox) })
    };
    [end(1, &down, &up), end(2, &up, &down)]
}

impl Socket {
    /// What this end has sent, whether or not it arrived.
    pub(crate) fn sent(&self) -> Traffic {
        self.outbox.lock().sent
    }

    fn other(&self) -> SocketAddr {
        SocketAddr::new(self.local.ip(), 3 - self.local.port())
    }
}

impl Inbox {
    fn new(delay: Duration, loss: f64, seed: u64) -> Self {
        let rng = Pcg64Mcg::seed_from_u64(seed);
        let (packets, sent) = (VecDeque::new(), Traffic::default());
        Self(Mutex::new(Underway { delay, loss, rng, packets, sent, reader: None, alarm: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Underway> {
        self.0.lock().expect("nothing panics while it holds the path")
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut underway = self.outbox.lock();
        underway.sent.packets += 1;
        underway.sent.bytes += transmit.contents.len() as u64;
        let loss = underway.loss;
        if !underway.rng.random_bool(loss) {
            let due = Instant::now() + underway.delay;
            underway.packets.push_back((due, transmit.contents.to_vec()));
            if let Some(reader) = underway.reader.take() {
                reader.wake();
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut underway = self.inbox.lock();
        let mut received = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            if underway.packets.front().is_none_or(|(due, _)| *due > Instant::now()) {
                break;
            }
            let Some((_, packet)) = underway.packets.pop_front() else { break };
            buffer[..packet.len()].copy_from_slice(&packet);
            let (len, stride) = (packet.len(), packet.len());
            *meta = RecvMeta { addr: self.other(), len, stride, ecn: None, dst_ip: None };
            received += 1;
        }
        if received > 0 {
            return Poll::Ready(Ok(received));
        }
        underway.reader = Some(context.waker().clone());
        underway.alarm = underway.packets.front().map(|(due, _)| Box::pin(sleep_until(*due)));
        if let Some(alarm) = &mut underway.alarm
            && alarm.as_mut().poll(context).is_ready()
        {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
