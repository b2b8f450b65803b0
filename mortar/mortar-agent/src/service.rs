//! The agent as a service: opens the folder, brings the system up, keeps it, takes it down.

mod adopt;
mod elastic;
mod handle;
mod house;
mod one_off;
mod revision;
mod roll;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use brick_core::{BrickName, Drain, Trigger};
use brick_model::Model;
use tokio::sync::{mpsc, watch as channel};

use crate::api::{Elasticity, InstanceState};
use crate::board::{Board, Role, Row, Slot};
use crate::control::Control;
use crate::events::{Event, EventKind, Events};
use crate::fleet::Fleet;
use crate::folder::{Folder, Lock};
use crate::launch::inherited;
use crate::linux::capture::Capture;
use crate::linux::claim::Claims;
use crate::linux::session::sweep;
use crate::listeners::{Listeners, Wanted};
use crate::logs::Logs;
use crate::logs::offsets::Offsets;
use crate::logs::ship::Shipping;
use crate::plan::Ground;
use crate::ports::{Ports, loopback};
use crate::state::{SCHEMA, State, Store};
use crate::supervise::Context;
use crate::{Error, Options, builder, linux, plan, registry, socket, state};

pub use adopt::stop_left_behind;
pub use handle::Handle;

/// Bricks with a new port that wait to be told to those who know them by URL.
const MOVES_MAX: usize = 1024;

/// Everything that the service and its handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ground: Ground,
    pub(crate) context: Arc<Context>,
    pub(crate) fleet: tokio::sync::Mutex<Fleet>,
    pub(crate) model: channel::Sender<Arc<Model>>,
    /// Whether sources are watched.
    watch: channel::Sender<bool>,
    pub(crate) started: Instant,
    down: Trigger,
    down_asked: Drain,
    hurry: Trigger,
    /// One difference is applied at a time.
    applying: tokio::sync::Mutex<()>,
    /// How the numbers of instances follow requests.
    elastic: parking_lot::Mutex<BTreeMap<BrickName, Elasticity>>,
}

/// The agent of one system. [`Service::run`] brings it up and keeps it.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    shipping_full: Arc<AtomicBool>,
    moved: mpsc::Receiver<BrickName>,
    _lock: Lock,
}

impl Service {
    /// Takes the folder's lock, reads the state of an earlier agent, and listens on the public addresses. Nothing is
    /// started yet.
    pub async fn open(options: Options, model: Model) -> Result<(Self, Handle), Error> {
        let folder = Folder::of(&options.dir);
        folder.create()?;
        let lock = folder.lock()?;
        plan::wanted(&model, &options.only)?;
        let mut state = read_state(&folder)?;
        let key = folder.bootstrap_key()?;
        let admin = loopback(options.console.unwrap_or(model.system.console));
        let wanted = Wanted::new(&model, options.edge, admin);
        let listeners = public_listeners(&folder, &mut state, &wanted).await?;
        let events = Events::new();
        let store = Store::new(folder.state_file(), state, events.clone());
        let revision = revision::read(options.dir.clone()).await;
        let claims = Claims::default();
        let ground = Ground {
            claims: claims.clone(),
            capture: Capture::new(&folder, &options.dir, &options.brick_binary),
            edge: listeners.edge().unwrap_or(wanted.edge),
            edge_tls: listeners.edge_tls(),
            admin: listeners.admin().unwrap_or(admin),
            inherited: inherited(&options.env),
            folder: folder.clone(),
            store: store.clone(),
            revision,
            options,
        };
        // The ports of the platform are needed before anything is planned in full.
        let running = |slot: &str| adopt::still_runs(&store, slot);
        ground.assign_platform_ports(&model, running, &events)?;
        store.save().await;
        let (hurry, hurry_asked) = brick_core::drain::channel();
        let (down, down_asked) = brick_core::drain::channel();
        let (moved_to, moved) = mpsc::channel(MOVES_MAX);
        let context = Arc::new(Context {
            ports: Ports::new(ground.options.dir.clone(), store.clone(), claims),
            moved: moved_to,
            board: Board::new(),
            events: events.clone(),
            logs: Logs::new(ground.options.log_ring_bytes_max),
            offsets: Offsets::load(folder.offsets_file()),
            control: Control::new(ground.control_url(&model), key),
            client: brick_wire::Client::new(),
            inherited: ground.inherited.clone(),
            hurry: hurry_asked,
            tracked: parking_lot::Mutex::default(),
            store,
            listeners,
            proxy_file: folder.proxy(),
            proxy_served: format!("{}/served", ground.url(plan::proxy::SLOT)),
        });
        let shipping = shipping(&ground, &context, &model);
        let shipping_full = shipping.disk_full.clone();
        let shared = Arc::new(Shared {
            fleet: tokio::sync::Mutex::new(Fleet::new(context.clone(), shipping)),
            model: channel::Sender::new(Arc::new(model)),
            watch: channel::Sender::new(ground.options.watch),
            started: Instant::now(),
            applying: tokio::sync::Mutex::new(()),
            elastic: parking_lot::Mutex::default(),
            ground,
            context,
            down,
            down_asked,
            hurry,
        });
        let service = Self {
            shared: shared.clone(),
            shipping_full,
            moved,
            _lock: lock,
        };
        Ok((service, Handle { shared }))
    }

    /// Builds, adopts, starts, supervises; ends when the drain is requested or `down` is asked, with nothing left
    /// running.
    pub async fn run(self, drain: Drain) -> Result<(), Error> {
        linux::become_subreaper().map_err(|source| Error::Kernel {
            action: "become the reaper of orphaned processes",
            source,
        })?;
        let shared = &self.shared;
        let (ending, ended) = brick_core::drain::channel();
        let listener = socket::bind(&shared.ground.folder.socket())?;
        let handle = Handle {
            shared: shared.clone(),
        };
        let server = tokio::spawn(socket::serve(listener, handle, ended.clone()));
        let housekeeping = tokio::spawn(house::keep(shared.clone(), self.shipping_full.clone()));
        let registry = registry::run(shared.context.clone(), shared.model.subscribe(), ended.clone());
        let registry = tokio::spawn(registry);
        let (is_up, up_asked) = brick_core::drain::channel();
        let watch = watch::run(shared.clone(), shared.watch.subscribe(), up_asked);
        let watch = tokio::spawn(watch);
        let moves = tokio::spawn(roll::follow_moves(shared.clone(), self.moved));
        let (stop_following, following) = brick_core::drain::channel();
        let mut elastic = None;
        let up = tokio::select! {
            up = shared.bring_up(&drain) => up,
            () = drain.requested() => Ok(()),
            () = shared.down_asked.requested() => Ok(()),
        };
        if up.is_ok() {
            is_up.drain();
            elastic = Some(tokio::spawn(elastic::run(shared.clone(), following)));
            let announce = tokio::spawn(announce_ready(shared.clone(), shared.started));
            tokio::select! {
                () = drain.requested() => {}
                () = shared.down_asked.requested() => {}
            }
            announce.abort();
        }
        stop_following.drain();
        if let Some(elastic) = elastic {
            // A step under way is seen to its end, as one that was asked for by hand.
            let _ = elastic.await;
        }
        moves.abort();
        watch.abort();
        shared.take_down().await;
        ending.drain();
        housekeeping.abort();
        // Both end with the drain; what they were doing is of no use any more.
        let _ = tokio::time::timeout(Duration::from_secs(1), registry).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
        let _ = std::fs::remove_file(shared.ground.folder.socket());
        up
    }
}

impl Shared {
    /// Builds and starts everything; supervisors go on from there.
    async fn bring_up(&self, drain: &Drain) -> Result<(), Error> {
        let model = self.model.borrow().clone();
        if self.ground.options.build {
            self.show_building(&model)?;
            self.build(&model, drain).await?;
        }
        let running = |slot: &str| adopt::still_runs(&self.context.store, slot);
        let plan = self.ground.plan(&model, running)?;
        for warning in &plan.warnings {
            self.context.events.send(Event::new(EventKind::Warning, warning));
        }
        let slots = plan.specs.iter().map(|spec| spec.slot.clone());
        let moved: Vec<Slot> = slots
            .filter(|slot| plan.moved.contains(&slot.to_string()))
            .collect();
        let (mut adopted, changed) = self.adopt(&plan).await;
        let mut fleet = self.fleet.lock().await;
        for (of, reason) in &plan.skipped {
            fleet.skip(of, reason);
        }
        let (control, others): (Vec<_>, Vec<_>) = plan
            .specs
            .into_iter()
            .partition(|spec| spec.slot.role == Role::Control);
        for spec in control {
            let running = adopted.remove(&spec.slot);
            fleet.add(spec, running);
        }
        // The rest is shown while it waits, and does not start before control has the manifest.
        for spec in &others {
            fleet.show(spec, InstanceState::Starting);
        }
        drop(fleet);
        self.control_is_ready().await;
        let mut fleet = self.fleet.lock().await;
        for spec in others {
            let running = adopted.remove(&spec.slot);
            fleet.add(spec, running);
        }
        drop(fleet);
        self.context.store.save().await;
        // What was adopted but should run otherwise by now is restarted one after the other.
        self.roll(changed).await;
        for slot in &moved {
            self.context.tell_moved(slot);
        }
        Ok(())
    }

    /// Shows the bricks that a build may be for.
    fn show_building(&self, model: &Model) -> Result<(), Error> {
        for brick in plan::wanted(model, &self.ground.options.only)? {
            for (of, settings) in plan::versions(model, &brick) {
                for number in 1..=self.ground.replicas(&of, settings.replicas) {
                    let zone = settings.zone(number).to_owned();
                    let slot = Slot::of_brick(&of, number);
                    let port = self.ground.port(&slot.to_string());
                    let mut row = Row::new(settings.version.base.clone(), zone, port);
                    row.state = InstanceState::Building;
                    self.context.board.insert(&slot, row);
                }
            }
        }
        Ok(())
    }

    /// Resolves when control is ready, or had its chance: bricks can start from what they know.
    async fn control_is_ready(&self) {
        let board = &self.context.board;
        let passed = board.wait(|rows| {
            rows.iter().any(|(slot, row)| {
                slot.role == Role::Control
                    && (row.given_up || matches!(row.state, InstanceState::Ready | InstanceState::CrashLoop))
            })
        });
        passed.await;
    }

    async fn take_down(&self) {
        let stops = Event::new(EventKind::Down, "the system stops");
        self.context.events.send(stops);
        let waves = self.model.borrow().start_order();
        self.fleet.lock().await.shutdown(&waves).await;
        // What was forked outside every session carries the mark of the system.
        let spared = std::collections::HashSet::new();
        sweep(adopt::mark(&self.ground.folder), spared).await;
        self.ground.capture.lift();
        self.context.store.update(|state| {
            state.processes.clear();
            // What requests needed is of the past where the system comes up again.
            state.elastic.clear();
        });
        self.context.store.save().await;
        let _ = std::fs::remove_file(self.ground.folder.handover());
    }

    pub(crate) async fn build(&self, model: &Model, drain: &Drain) -> Result<(), Error> {
        let wanted = plan::wanted(model, &self.ground.options.only)?;
        self.build_of(model, &wanted, drain).await
    }

    /// Builds these bricks.
    async fn build_of(&self, model: &Model, wanted: &[BrickName], drain: &Drain) -> Result<(), Error> {
        let options = &self.ground.options;
        let target = options.target_dir.join("release");
        let env = builder::environment(&options.env, &options.target_dir);
        for build in builder::builds(model, &options.dir, &target, wanted)? {
            match builder::run(&build, &env, &self.context.events, drain).await {
                Err(Error::MissingProgram { program, hint, .. }) if build.optional => {
                    let msg = format!("`{program}` is not there, so an optional brick is not built: {hint}");
                    self.context
                        .events
                        .send(Event::new(EventKind::Warning, msg).brick(&build.bricks[0]));
                }
                other => other?,
            }
        }
        Ok(())
    }
}

/// The state that an earlier agent left, fit for this boot.
fn read_state(folder: &Folder) -> Result<State, Error> {
    let boot_id = linux::boot_id().map_err(|source| Error::Kernel {
        action: "read the boot id in /proc/sys/kernel/random",
        source,
    })?;
    let mut state = state::load(&folder.state_file())?.unwrap_or_default();
    if state.boot_id != boot_id {
        // Pids of another boot mean nothing.
        state.processes.clear();
    }
    (state.schema, state.boot_id) = (SCHEMA, boot_id);
    Ok(state)
}

/// Tells once that everything is ready.
async fn announce_ready(shared: Arc<Shared>, since: Instant) {
    let board = &shared.context.board;
    board
        .wait(|rows| {
            rows.values()
                .all(|row| matches!(row.state, InstanceState::Ready | InstanceState::Skipped))
        })
        .await;
    let built = shared.context.events.last_build_end();
    let seconds = built.map_or_else(
        || since.elapsed().as_secs_f64(),
        |end| jiff::Timestamp::now().duration_since(end).as_secs_f64(),
    );
    let msg = format!("ready in {seconds:.2} s");
    shared.context.events.send(Event::new(EventKind::AllReady, msg));
}

/// The public listeners: those of a gateway that still runs, else new ones.
async fn public_listeners(folder: &Folder, state: &mut State, wanted: &Wanted) -> Result<Listeners, Error> {
    let listeners = match adopt::listeners(folder, state, wanted).await {
        Some(listeners) => listeners,
        None => Listeners::bind(wanted)?,
    };
    state.edge = listeners.edge();
    state.console = listeners.admin();
    Ok(listeners)
}

fn shipping(ground: &Ground, context: &Context, model: &Model) -> Shipping {
    Shipping {
        logs: context.logs.clone(),
        offsets: context.offsets.clone(),
        events: context.events.clone(),
        client: context.client.clone(),
        url: format!("{}/v1/logs", ground.url("otlp")),
        system: model.system.name.to_string(),
        revision: ground.revision.clone(),
        retain_bytes: ground.options.log_retain_bytes,
        backlog_bytes_max: ground.options.log_backlog_bytes_max,
        disk_full: Arc::default(),
    }
}
