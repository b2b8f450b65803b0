//! Keeps control's view true: the manifest whenever control starts anew, a registration for every instance that
//! answers, leases renewed in one call, and the word that an instance is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brick_core::{Drain, Incarnation, Instance};
use brick_model::Model;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::InstanceState;
use crate::board::{Role, Row, Slot};
use crate::control::{Renewal, Renewed};
use crate::events::{Event, EventKind, Events};
use crate::ports::loopback;
use crate::supervise::Context;

const LEASE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(100);

/// What control was told.
#[derive(Debug)]
struct Told {
    context: Arc<Context>,
    model: watch::Receiver<Arc<Model>>,
    /// The control that has the manifest.
    control: Option<Incarnation>,
    known: BTreeMap<Incarnation, (Slot, bool)>,
    lease: Duration,
    renew_at: Instant,
}

/// Runs until the drain is requested.
pub(crate) async fn run(context: Arc<Context>, model: watch::Receiver<Arc<Model>>, drain: Drain) {
    let mut changes = context.board.subscribe();
    let mut model_changes = model.clone();
    let mut refused = String::new();
    let mut told = Told {
        context,
        model,
        control: None,
        known: BTreeMap::new(),
        lease: LEASE,
        renew_at: Instant::now(),
    };
    loop {
        changes.mark_unchanged();
        let wait = match told.reconcile().await {
            Ok(()) => told.renew_at,
            Err(error) => {
                // Being away is normal while it restarts; a clear no is not.
                if error.status().is_some_and(|status| status.is_client_error()) {
                    warn_once(&told.context.events, &mut refused, brick_core::chain(&error));
                }
                tokio::time::sleep(RETRY).await;
                Instant::now()
            }
        };
        tokio::select! {
            () = drain.requested() => return,
            _ = changes.changed() => {}
            Ok(()) = model_changes.changed() => told.control = None,
            () = tokio::time::sleep_until(wait) => {}
        }
    }
}

impl Told {
    async fn reconcile(&mut self) -> Result<(), brick_wire::Error> {
        let rows = self.context.board.rows();
        let control = rows.iter().find(|(slot, _)| slot.role == Role::Control);
        let Some((slot, row)) = control.filter(|(_, row)| row.answered) else {
            // Nobody to talk to; a change of the board wakes this up.
            self.renew_at = Instant::now() + self.lease;
            return Ok(());
        };
        if row.incarnation != self.control {
            let model = self.model.borrow_and_update().clone();
            self.context.control.put_manifest(&model).await?;
            self.control = row.incarnation;
            self.renew_at = Instant::now();
            self.context.board.update(slot, |row| row.registered = true);
        }
        // First what is new: a process that took over replaces the old one in its slot without a gap.
        let registered = self.register_new(&rows).await;
        self.drop_gone(&rows).await?;
        let changed = registered?;
        if changed || Instant::now() >= self.renew_at {
            self.renew().await?;
        }
        Ok(())
    }

    async fn drop_gone(&mut self, rows: &[(Slot, Row)]) -> Result<(), brick_wire::Error> {
        let gone: Vec<(Incarnation, Slot)> = self
            .known
            .iter()
            .filter(|(incarnation, _)| !rows.iter().any(|(_, row)| serves(row) == Some(**incarnation)))
            .map(|(incarnation, (slot, _))| (*incarnation, slot.clone()))
            .collect();
        for (incarnation, slot) in gone {
            let row = rows.iter().find(|(s, _)| *s == slot).map(|(_, row)| row);
            // One that is being stopped is taken out by its supervisor, which waits for the balancers.
            if row.is_none_or(|row| row.incarnation != Some(incarnation)) {
                self.context
                    .control
                    .deregister(incarnation, Duration::ZERO)
                    .await?;
            }
            self.known.remove(&incarnation);
        }
        Ok(())
    }

    /// Registers what is new; whether somebody's readiness changed.
    async fn register_new(&mut self, rows: &[(Slot, Row)]) -> Result<bool, brick_wire::Error> {
        let mut changed = false;
        let mut refused = None;
        for (slot, row) in rows.iter().filter(|(slot, _)| slot.role == Role::Brick) {
            let Some(incarnation) = serves(row) else { continue };
            match self.known.get_mut(&incarnation) {
                Some((_, healthy)) => changed |= std::mem::replace(healthy, row.healthy) != row.healthy,
                None => {
                    let instance = Instance {
                        brick: slot.brick.clone(),
                        version: row.version.clone(),
                        slot: slot.number,
                        incarnation,
                        zone: row.zone.clone(),
                        addr: loopback(row.public_port.unwrap_or(row.port)),
                        concurrent: slot.version.is_some(),
                    };
                    self.lease = match self.context.control.register(&instance, Duration::ZERO).await {
                        // One that control refuses must not keep the others out; a renewal asks again.
                        Err(error) if error.status().is_some_and(|status| status.is_client_error()) => {
                            refused = Some(error);
                            self.lease
                        }
                        other => other?,
                    };
                    self.renew_at = self.renew_at.min(Instant::now() + self.lease / 3);
                    self.known.insert(incarnation, (slot.clone(), row.healthy));
                    // A registration counts as ready until a renewal says otherwise.
                    changed |= !row.healthy;
                    self.context.board.update(slot, |now| {
                        now.registered = now.incarnation == Some(incarnation);
                    });
                }
            }
        }
        refused.map_or(Ok(changed), Err)
    }

    async fn renew(&mut self) -> Result<(), brick_wire::Error> {
        let renewals: Vec<Renewal> = self
            .known
            .iter()
            .map(|(incarnation, (_, ready))| Renewal {
                incarnation: *incarnation,
                ready: *ready,
            })
            .collect();
        self.renew_at = Instant::now() + self.lease / 3;
        if renewals.is_empty() {
            return Ok(());
        }
        let Renewed { unknown, quarantined } = self.context.control.renew(&renewals).await?;
        self.context.board.quarantined(&quarantined);
        for incarnation in &unknown {
            self.known.remove(incarnation);
        }
        if !unknown.is_empty() {
            // They are registered again in the next round, which comes at once.
            self.renew_at = Instant::now();
        }
        Ok(())
    }
}

/// Tells what control refuses, once as long as it is the same.
fn warn_once(events: &Events, last: &mut String, refusal: String) {
    if *last != refusal {
        let msg = format!("control refuses what the agent tells it: {refusal}");
        events.send(Event::new(EventKind::Warning, msg));
        *last = refusal;
    }
}

/// The incarnation that serves in a slot.
fn serves(row: &Row) -> Option<Incarnation> {
    let stays = !matches!(row.state, InstanceState::Stopping | InstanceState::Stopped);
    row.incarnation.filter(|_| row.answered && stays)
}
