//! All supervised slots: adding, replacing and removing them so that they are as the plan says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_core::{BrickName, BrickRef, Trigger};
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::api::InstanceState;
use crate::board::{Role, Row, Slot};
use crate::events::{Event, EventKind};
use crate::launch::Spec;
use crate::logs::Source;
use crate::logs::ship::{self, Shipping};
use crate::plan::Plan;
use crate::supervise::{Context, Order, Rejected, Running, Supervisor};

/// How long the last lines of a stopped process may take to reach telemetry.
const FLUSH: Duration = Duration::from_secs(2);

/// What becomes of slots whose command, program or settings changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// They are restarted.
    Restart,
    /// They run on as they are.
    Leave,
}

/// A supervised slot.
#[derive(Debug)]
struct Unit {
    spec: Arc<Spec>,
    orders: mpsc::Sender<Order>,
    supervisor: JoinHandle<()>,
    logs: Trigger,
    tail: JoinHandle<()>,
    shipper: JoinHandle<()>,
}

/// The slots of a system.
#[derive(Debug)]
pub(crate) struct Fleet {
    context: Arc<Context>,
    shipping: Shipping,
    units: BTreeMap<Slot, Unit>,
}

impl Fleet {
    pub(crate) fn new(context: Arc<Context>, shipping: Shipping) -> Self {
        Self {
            context,
            shipping,
            units: BTreeMap::new(),
        }
    }

    /// Shows a slot before anything of it runs.
    pub(crate) fn show(&self, spec: &Spec, state: InstanceState) {
        let mut row = Row::new(spec.version.clone(), spec.zone.clone(), spec.port);
        (row.state, row.public_port) = (state, spec.public_port);
        self.context.board.insert(&spec.slot, row);
    }

    /// Supervises a slot, beginning with a process that still runs where there is one.
    pub(crate) fn add(&mut self, spec: Spec, adopted: Option<Running>) {
        let spec = Arc::new(spec);
        self.show(&spec, InstanceState::Starting);
        let (orders, received) = mpsc::channel(16);
        let supervisor = Supervisor::new(self.context.clone(), spec.clone(), received);
        let (logs, drain) = brick_core::drain::channel();
        let source = Source {
            slot: spec.slot.clone(),
            version: spec.version.clone(),
            path: spec.log.clone(),
        };
        let kept = self.context.logs.clone();
        let tailed = (source.clone(), drain.clone());
        let unit = Unit {
            supervisor: tokio::spawn(supervisor.run(adopted)),
            tail: tokio::spawn(async move { kept.tail(tailed.0, tailed.1).await }),
            shipper: tokio::spawn(ship::run(self.shipping.clone(), source, spec.zone.clone(), drain)),
            spec: spec.clone(),
            orders,
            logs,
        };
        self.units.insert(spec.slot.clone(), unit);
    }

    /// Shows a brick, or a version of one, that is left out.
    pub(crate) fn skip(&self, of: &BrickRef, reason: &str) {
        let slot = Slot::of_brick(of, 1);
        let told = self.context.board.get(&slot).and_then(|row| row.problem);
        let mut row = Row::new(of.version.clone().unwrap_or_default(), "a".to_owned(), 0);
        row.state = InstanceState::Skipped;
        row.problem = Some(reason.to_owned());
        self.context.board.insert(&slot, row);
        // Each change of anything plans anew.
        if told.as_deref() == Some(reason) {
            return;
        }
        let event = Event::new(EventKind::Skipped, format!("{of} is left out: {reason}"));
        self.context.events.send(event.brick(&of.brick));
    }

    /// Slots in the order in which they were planned to start, by part.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.units.keys().cloned().collect()
    }

    /// The slot of a name, `order/1`.
    pub(crate) fn find(&self, name: &str) -> Option<Slot> {
        self.units.keys().find(|slot| slot.to_string() == name).cloned()
    }

    /// Sends a signal to the process of a slot; its pid.
    pub(crate) async fn signal(&self, slot: &Slot, signal: Signal) -> Option<u32> {
        let (reply, pid) = oneshot::channel();
        let unit = self.units.get(slot)?;
        unit.orders.send(Order::Signal(signal, reply)).await.ok()?;
        pid.await.ok().flatten()
    }

    /// Makes the slots as the plan says: what is gone stops, highest slots first, what is new starts, what changed
    /// restarts or is left as it is. The restarts come back to be done one after the other; the texts say what was
    /// changed.
    pub(crate) async fn apply(&mut self, plan: Plan, changed: Changed) -> (Vec<String>, Vec<Spec>) {
        let mut changes = Vec::new();
        let gone: Vec<Slot> = self
            .units
            .keys()
            .rev()
            .filter(|slot| !plan.specs.iter().any(|spec| spec.slot == **slot))
            .cloned()
            .collect();
        changes.extend(gone.iter().map(|slot| format!("{slot} is removed")));
        self.stop(gone, true).await;
        let left_out = |slot: &Slot| plan.skipped.iter().any(|(of, _)| *of == slot.of());
        for (slot, row) in self.context.board.rows() {
            if row.state == InstanceState::Skipped && !left_out(&slot) {
                self.context.board.remove(&slot);
            }
        }
        for (of, reason) in &plan.skipped {
            self.skip(of, reason);
        }
        let mut rolls = Vec::new();
        for spec in plan.specs {
            match self.units.get(&spec.slot) {
                None => {
                    changes.push(format!("{} is added", spec.slot));
                    self.add(spec, None);
                }
                Some(unit) if changed == Changed::Restart && unit.spec.fingerprint != spec.fingerprint => {
                    changes.push(format!(
                        "{} is restarted: its command, program or settings changed",
                        spec.slot
                    ));
                    rolls.push(spec);
                }
                Some(_) => {}
            }
        }
        (changes, rolls)
    }

    /// Replaces the process of a slot; resolves when the old one has stopped.
    pub(crate) fn replace(&mut self, spec: Spec) -> Option<oneshot::Receiver<()>> {
        let unit = self.units.get_mut(&spec.slot)?;
        unit.spec = Arc::new(spec);
        let (reply, done) = oneshot::channel();
        unit.orders
            .try_send(Order::Replace(unit.spec.clone(), reply))
            .ok()?;
        Some(done)
    }

    /// Asks for a slot's process to be replaced by a new one beside it; none where there is no such slot.
    pub(crate) async fn roll(&self, spec: Arc<Spec>) -> Option<oneshot::Receiver<Result<(), Rejected>>> {
        let unit = self.units.get(&spec.slot)?;
        let (reply, done) = oneshot::channel();
        unit.orders.send(Order::Roll(spec, reply)).await.ok()?;
        Some(done)
    }

    /// Whether a slot runs otherwise than the spec says.
    pub(crate) fn runs_otherwise(&self, spec: &Spec) -> bool {
        let unit = self.units.get(&spec.slot);
        unit.is_none_or(|unit| unit.spec.fingerprint != spec.fingerprint)
    }

    /// Notes what a slot runs since it was rolled.
    pub(crate) fn rolled(&mut self, spec: Arc<Spec>) {
        if let Some(unit) = self.units.get_mut(&spec.slot) {
            unit.spec = spec;
        }
    }

    /// Stops slots at once, side by side, and flushes their output; `forget` takes them off the board.
    pub(crate) async fn stop(&mut self, slots: Vec<Slot>, forget: bool) {
        let mut stopping = Vec::new();
        for slot in slots {
            let Some(unit) = self.units.remove(&slot) else {
                continue;
            };
            let (reply, done) = oneshot::channel();
            // A supervisor that has ended already has nothing left to stop.
            let _ = unit.orders.send(Order::Stop(reply)).await;
            stopping.push((slot, unit, done));
        }
        for (slot, unit, done) in stopping {
            let _ = done.await;
            let _ = unit.supervisor.await;
            unit.logs.drain();
            let flush = async {
                let _ = unit.tail.await;
                let _ = unit.shipper.await;
            };
            let hurried = async {
                self.context.hurry.requested().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            tokio::select! {
                _ = tokio::time::timeout(FLUSH, flush) => {}
                () = hurried => {}
            }
            if forget {
                self.context.board.remove(&slot);
            }
        }
    }

    /// Stops everything: gateway, bricks in reverse order of their needs, host proxy, control, telemetry.
    pub(crate) async fn shutdown(&mut self, waves: &[Vec<BrickName>]) {
        let of_role = |fleet: &Self, role: Role| -> Vec<Slot> {
            fleet
                .slots()
                .into_iter()
                .filter(|slot| slot.role == role)
                .collect()
        };
        let gateway = of_role(self, Role::Gateway);
        self.stop(gateway, false).await;
        for wave in waves.iter().rev() {
            let slots = of_role(self, Role::Brick).into_iter();
            self.stop(slots.filter(|slot| wave.contains(&slot.brick)).collect(), false)
                .await;
        }
        for role in [Role::Brick, Role::Proxy, Role::Control, Role::Telemetry] {
            let slots = of_role(self, role);
            self.stop(slots, false).await;
        }
    }
}
