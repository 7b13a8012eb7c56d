//! Real couriers beside simulated cores: chitchat on tokio, its clock moved along with the world's.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_gossip::alive::Alive;
use mesh_gossip::courier::{CourierConfig, CourierHandle, FromCourier, Limits, spawn};
use mesh_gossip::effects::ForCourier;
use mesh_gossip::id::{MemberId, MeshId};
use mesh_gossip::moment::Moment;
use mesh_gossip::signature::Verifier;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// All couriers of a world: one runtime on the world's thread.
pub(super) struct Couriers {
    runtime: Runtime,
    begin: Instant,
    mesh: MeshId,
    verifier: Arc<dyn Verifier>,
}

impl Couriers {
    pub(super) fn new(mesh: MeshId, verifier: Arc<dyn Verifier>) -> std::io::Result<Rc<Self>> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let begin = runtime.block_on(async { Instant::now() });
        Ok(Rc::new(Self { runtime, begin, mesh, verifier }))
    }

    /// A place for the courier of one member.
    pub(super) fn port(couriers: &Rc<Self>, own: MemberId) -> Port {
        Port { couriers: Rc::clone(couriers), own, running: None, put: BTreeMap::new() }
    }
}

/// The courier of one core. It runs from its first exchange on; until then, and between exchanges, what it is to hold
/// is only written down, for nothing shows of it before.
pub(super) struct Port {
    couriers: Rc<Couriers>,
    own: MemberId,
    running: Option<(CourierHandle, Receiver<FromCourier>)>,
    put: BTreeMap<MemberId, Option<Arc<Alive>>>,
}

/// What a courier has for its core.
#[derive(Default)]
pub(super) struct Brought {
    pub(super) carries: Vec<(MemberId, Vec<u8>)>,
    pub(super) learnt: Vec<Arc<Alive>>,
}

impl Port {
    /// Gives the courier what the core wants of it, and takes what comes of that.
    pub(super) fn give(&mut self, now: Moment, wishes: &mut Vec<ForCourier>) -> Brought {
        let mut brought = Brought::default();
        for wish in wishes.drain(..) {
            match wish {
                ForCourier::Put(alive) => {
                    self.put.insert(alive.id(), Some(alive));
                }
                ForCourier::Remove(member) => {
                    self.put.insert(member, None);
                }
                ForCourier::Exchange(member) => self.work(now, &mut brought, |courier| courier.exchange_with(member)),
                ForCourier::Received { from, bytes } => {
                    // What it refuses it counts itself.
                    self.work(now, &mut brought, |courier| {
                        let _ = courier.received(from, bytes);
                    });
                }
            }
        }
        brought
    }

    fn work(&mut self, now: Moment, brought: &mut Brought, act: impl FnOnce(&CourierHandle)) {
        let couriers = Rc::clone(&self.couriers);
        couriers.runtime.block_on(async {
            tokio::time::sleep_until(couriers.begin + Duration::from_micros(now.as_micros())).await;
            let (courier, output) = self.running.get_or_insert_with(|| {
                let verifier = Arc::clone(&couriers.verifier);
                spawn(CourierConfig { own: self.own, mesh: couriers.mesh, verifier, limits: Limits::default() })
            });
            for (member, alive) in std::mem::take(&mut self.put) {
                match alive {
                    // Beyond its bounds it does without; the core knows the member all the same.
                    Some(alive) => {
                        let _ = courier.put(&alive);
                    }
                    None => courier.remove(member),
                }
            }
            act(courier);
            courier.settled().await;
            while let Ok(output) = output.try_recv() {
                match output {
                    FromCourier::Send { to, bytes } => brought.carries.push((to, bytes)),
                    FromCourier::Learnt(alive) => brought.learnt.extend(alive.into_iter().map(Arc::new)),
                }
            }
        });
    }
}
