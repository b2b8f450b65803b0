//! What the command line, and everything on the socket, can ask of a running agent.

use std::sync::Arc;

use brick_core::BrickName;
use brick_model::{Model, nearest};
use tokio::sync::broadcast;

use super::Shared;
use super::adopt::still_runs;
use crate::api::{
    Apply, Changes, ConsoleLink, Counters, InstanceState, Kill, Killed, LogLine, OperatorToken, Ps, Scale,
    Status,
};
use crate::board::Role;
use crate::control::Control;
use crate::events::{Event, EventKind, Subscription};
use crate::fleet::Changed;
use crate::launch::Spec;
use crate::linux::process::{signal_name, signal_names, signal_of};
use crate::plan::known;
use crate::state::Scaled;
use crate::{Error, events};

/// Most instances of one brick.
const REPLICAS_MAX: u32 = 100;

/// A cloneable handle of a running agent.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    /// Control, as the agent asks it.
    pub(crate) fn control(&self) -> &Control {
        &self.shared.context.control
    }

    /// What happened since the start, then what happens.
    pub fn events(&self) -> Subscription {
        self.shared.context.events.subscribe()
    }

    /// What happened since the start.
    pub fn past_events(&self) -> Vec<events::Event> {
        self.shared.context.events.past()
    }

    /// Every instance, platform first.
    pub fn ps(&self) -> Vec<Ps> {
        let mut rows = self.shared.context.board.ps(&self.shared.ground.revision);
        let elastic = self.shared.elastic.lock().clone();
        for row in &mut rows {
            let of_base = row.instance.split('/').next() == Some(row.brick.as_str());
            row.elastic = elastic.get(&row.brick).filter(|_| of_base).cloned();
        }
        rows
    }

    /// Base URL of the edge.
    pub fn edge_url(&self) -> String {
        format!("http://{}", self.shared.ground.edge)
    }

    /// Base URL of the edge with TLS, where it has one.
    pub fn edge_tls_url(&self) -> Option<String> {
        self.shared.ground.edge_tls.map(|addr| format!("https://{addr}"))
    }

    /// Base URL of console and platform APIs.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.shared.ground.admin)
    }

    /// The system as a whole.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let rows = shared.context.board.rows();
        let mut ports = shared.context.store.read(|state| state.ports.clone());
        ports.insert("edge".to_owned(), shared.ground.edge.port());
        if let Some(addr) = shared.ground.edge_tls {
            ports.insert("edge-tls".to_owned(), addr.port());
        }
        ports.insert("console".to_owned(), shared.ground.admin.port());
        let counted = |state: InstanceState| state != InstanceState::Skipped;
        let mut bricks: std::collections::BTreeMap<&BrickName, bool> = std::collections::BTreeMap::new();
        for (slot, row) in rows
            .iter()
            .filter(|(slot, row)| slot.role == Role::Brick && counted(row.state))
        {
            *bricks.entry(&slot.brick).or_insert(true) &= row.state == InstanceState::Ready;
        }
        let (log_lines_cut, log_bytes_dropped, log_records_shipped) = shared.context.logs.counters();
        Status {
            system: shared.model.borrow().system.name.to_string(),
            version: shared.ground.options.version.clone(),
            dir: shared.ground.options.dir.display().to_string(),
            edge_url: self.edge_url(),
            edge_tls_url: self.edge_tls_url(),
            admin_url: self.admin_url(),
            ports,
            agent_pid: std::process::id(),
            uptime_s: shared.started.elapsed().as_secs(),
            bricks_ready: bricks.values().filter(|ready| **ready).count(),
            bricks: bricks.len(),
            ready: !rows.is_empty()
                && rows
                    .iter()
                    .all(|(_, row)| !counted(row.state) || row.state == InstanceState::Ready),
            watch: *shared.watch.borrow(),
            problems: rows.iter().filter_map(|(_, row)| row.problem.clone()).collect(),
            counters: Counters {
                log_lines_cut,
                log_bytes_dropped,
                log_records_shipped,
                state_writes_failed: shared.context.store.writes_failed(),
            },
        }
    }

    /// Resolves when everything, platform included, is ready.
    pub async fn ready(&self) {
        let board = &self.shared.context.board;
        let fine = |state| matches!(state, InstanceState::Ready | InstanceState::Skipped);
        board
            .wait(|rows| rows.len() >= 3 && rows.values().all(|row| fine(row.state)))
            .await;
    }

    /// The lines kept of one brick, one slot (`order/1`) or all, in order of time.
    pub fn logs(&self, of: Option<&str>) -> Vec<LogLine> {
        let wanted = |slot: &crate::board::Slot| of.is_none_or(|name| slot.is_named(name));
        self.shared.context.logs.lines(wanted)
    }

    /// Lines from now on, of all instances.
    pub fn follow_logs(&self) -> broadcast::Receiver<LogLine> {
        self.shared.context.logs.follow()
    }

    /// Sets the number of instances of a brick or of one of its versions; it is kept over restarts until the manifest's
    /// own number changes, or until it is given back to the manifest. One that then follows the requests goes on from
    /// what runs.
    pub async fn scale(&self, scale: Scale) -> Result<Changes, Error> {
        let shared = &self.shared;
        let _one = shared.applying.lock().await;
        let model = shared.model.borrow().clone();
        let mut asked = scale.brick;
        asked.version = asked.version.or(scale.version);
        let (of, brick) = known(&model, &asked)?;
        if let Some(found) = scale.replicas.filter(|number| *number > REPLICAS_MAX) {
            return Err(Error::Invalid {
                what: "the number of instances",
                expected: format!("between 0 and {REPLICAS_MAX}"),
                found: found.to_string(),
            });
        }
        let manifest = brick.replicas;
        drop(brick);
        let runs = shared.ground.replicas(&of, manifest);
        let store = &shared.context.store;
        let before = store.update(|state| {
            let before = (state.scaled.remove(&of), state.elastic.get(&of).copied());
            if let Some(replicas) = scale.replicas {
                let manifest = manifest.min();
                state.scaled.insert(of.clone(), Scaled { manifest, replicas });
            } else if manifest.elastic().is_some() {
                state.elastic.insert(of.clone(), runs);
            }
            before
        });
        let applied = self.apply_model(model, Changed::Restart).await;
        if applied.is_err() {
            store.update(|state| {
                state.scaled.remove(&of);
                state.elastic.remove(&of);
                state.scaled.extend(before.0.map(|scaled| (of.clone(), scaled)));
                state.elastic.extend(before.1.map(|needed| (of, needed)));
            });
        }
        applied
    }

    /// Reads the manifest again and applies the difference; bricks whose command, program or settings changed are
    /// restarted one instance after the other.
    pub async fn apply(&self, apply: Apply) -> Result<Changes, Error> {
        let shared = &self.shared;
        let _one = shared.applying.lock().await;
        let options = &shared.ground.options;
        let manifest = options.manifest.clone();
        let loaded = tokio::task::spawn_blocking(move || Model::load(&manifest)).await;
        let loaded = loaded
            .map_err(|_| Error::Stopping)?
            .map_err(|invalid| Error::Manifest {
                rendered: invalid.render(false),
            })?;
        let model = Arc::new(loaded.model);
        if apply.watch {
            shared.watch.send_replace(true);
        }
        if !apply.no_build {
            shared.build(&model, &shared.down_asked).await?;
        }
        self.apply_model(model, Changed::Restart).await
    }

    pub(super) async fn apply_model(&self, model: Arc<Model>, changed: Changed) -> Result<Changes, Error> {
        let shared = &self.shared;
        if shared.down_asked.is_requested() {
            return Err(Error::Stopping);
        }
        let running = |slot: &str| still_runs(&shared.context.store, slot);
        let plan = shared.ground.plan(&model, running)?;
        let mut fleet = shared.fleet.lock().await;
        if **shared.model.borrow() != *model {
            shared.model.send_replace(model);
        }
        let (changes, rolls) = fleet.apply(plan, changed).await;
        drop(fleet);
        shared.context.store.save().await;
        for change in &changes {
            shared.context.events.send(Event::new(EventKind::Changed, change));
        }
        let rolling = shared.clone();
        tokio::spawn(async move { rolling.roll(rolls).await });
        Ok(Changes { changes })
    }

    /// Sends a signal to one instance, `KILL` unless said; the agent starts it again as after any death.
    pub async fn kill(&self, kill: Kill) -> Result<Killed, Error> {
        let name = kill.signal.as_deref().unwrap_or("KILL");
        let signal = signal_of(name).ok_or_else(|| Error::Invalid {
            what: "the signal",
            expected: format!("one of {}", signal_names()),
            found: name.to_owned(),
        })?;
        let fleet = self.shared.fleet.lock().await;
        let slots: Vec<String> = fleet.slots().iter().map(ToString::to_string).collect();
        let slots = slots.iter().map(String::as_str);
        let unknown = |why: String| Error::Unknown {
            what: "running instance",
            name: kill.instance.clone(),
            known: why,
        };
        let slot = fleet
            .find(&kill.instance)
            .ok_or_else(|| unknown(nearest::hint(&kill.instance, "instances", slots)))?;
        let pid = fleet.signal(&slot, signal).await;
        Ok(Killed {
            pid: pid.ok_or_else(|| unknown("it has no process just now".to_owned()))?,
            instance: kill.instance,
            signal: signal_name(signal.as_raw()).unwrap_or("?").to_owned(),
        })
    }

    /// A platform token with scope `admin` for the command line.
    pub async fn operator_token(&self) -> Result<OperatorToken, Error> {
        let issued = self.shared.context.control.operator_token().await?;
        Ok(OperatorToken {
            token: issued.token,
            admin_url: self.admin_url(),
        })
    }

    /// The console's address with a fresh one-time code.
    pub async fn console_link(&self) -> Result<ConsoleLink, Error> {
        let code = self.shared.context.control.console_code().await?;
        Ok(ConsoleLink {
            url: format!("{}/login?code={code}", self.admin_url()),
        })
    }

    /// Asks the agent to stop everything and end.
    pub fn down(&self) {
        self.shared.down.drain();
    }

    /// Ends everything at once instead of in order: what a second Ctrl-C means. Implies [`Handle::down`].
    pub fn hurry(&self) {
        self.shared.hurry.drain();
        self.shared.down.drain();
    }
}

impl Shared {
    /// Restarts slots one after the other, each once the one before is ready again or had its chance.
    pub(super) async fn roll(&self, specs: Vec<Spec>) {
        for spec in specs {
            let slot = spec.slot.clone();
            let patience = spec.health_grace;
            let Some(stopped) = self.fleet.lock().await.replace(spec) else {
                continue;
            };
            // A supervisor that ended meanwhile was told to stop: there is nothing to wait for.
            if stopped.await.is_err() {
                continue;
            }
            let ready = self.context.board.wait(|rows| {
                rows.get(&slot)
                    .is_none_or(|row| row.state == InstanceState::Ready && row.answered)
            });
            let _ = tokio::time::timeout(patience, ready).await;
        }
    }
}
