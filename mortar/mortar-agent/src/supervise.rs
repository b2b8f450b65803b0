//! Supervision of one slot: starts its process, watches it, starts it again when it dies, stops it in order.

mod backoff;
pub(crate) mod configured;
mod ending;
mod needs;
mod readiness;
mod roll;
mod token;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brick_core::{BrickName, Drain, Incarnation};
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::InstanceState;
use crate::board::{Board, Role, Slot};
use crate::control::Control;
use crate::events::{Event, EventKind, Events};
use crate::launch::{self, Spec, install_hint};
use crate::linux::process::Process;
use crate::listeners::Listeners;
use crate::logs::{self, Logs, offsets::Offsets};
use crate::plan;
use crate::ports::Ports;
use crate::state::{Record, Store};
use backoff::Backoff;
pub(crate) use roll::Rejected;

/// Log lines that are shown with a failure.
const TAIL_LINES: usize = 12;
/// How long a deregistration may take, balancers' letting go included.
const LET_GO: Duration = Duration::from_secs(1);

/// What supervisors share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) board: Board,
    pub(crate) events: Events,
    pub(crate) store: Store,
    pub(crate) logs: Logs,
    pub(crate) offsets: Offsets,
    pub(crate) control: Control,
    pub(crate) client: brick_wire::Client,
    pub(crate) listeners: Listeners,
    /// What the host proxy follows.
    pub(crate) proxy_file: PathBuf,
    /// Where it says to which ports it leads requests by now.
    pub(crate) proxy_served: String,
    pub(crate) ports: Ports,
    /// Bricks whose first slot has another port now, for those who know them by URL.
    pub(crate) moved: mpsc::Sender<BrickName>,
    pub(crate) inherited: Vec<(String, String)>,
    /// Requested when everything is to end at once.
    pub(crate) hurry: Drain,
    /// Children that somebody waits for.
    pub(crate) tracked: Mutex<HashSet<u32>>,
}

impl Context {
    /// Says that a slot has another port; the first slot of a brick is the one that others may know by its URL.
    pub(crate) fn tell_moved(&self, slot: &Slot) {
        if slot.role == Role::Brick && slot.version.is_none() && slot.number == 1 {
            // There is room for far more bricks than a system has; one move of each waits for the same restart.
            let _ = self.moved.try_send(slot.brick.clone());
        }
    }
}

/// What a supervisor can be asked.
#[derive(Debug)]
pub(crate) enum Order {
    /// Stop the process and end.
    Stop(oneshot::Sender<()>),
    /// Stop the process and go on with this spec.
    Replace(Arc<Spec>, oneshot::Sender<()>),
    /// Replace the process by one of this spec without a gap; answers when the new one serves, or why none does.
    Roll(Arc<Spec>, oneshot::Sender<Result<(), Rejected>>),
    /// Send a signal to the process; its pid comes back, none when there is none.
    Signal(Signal, oneshot::Sender<Option<u32>>),
}

/// The supervisor of one slot.
#[derive(Debug)]
pub(crate) struct Supervisor {
    context: Arc<Context>,
    spec: Arc<Spec>,
    orders: mpsc::Receiver<Order>,
    /// An order that came while a process was being replaced.
    held: Option<Order>,
    backoff: Backoff,
    waited: bool,
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) incarnation: Incarnation,
    pub(crate) adopted: bool,
    /// It was ready before its supervisor began to watch it.
    proven: bool,
    token_life: Duration,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Next {
    Start,
    /// Watch this process, which took over from another.
    Watch(Running),
    Pause(Duration),
    End,
}

impl Running {
    /// A process of an earlier agent; its token is renewed at once.
    pub(crate) fn adopted(process: Process, incarnation: Incarnation) -> Self {
        Self {
            process,
            incarnation,
            adopted: true,
            proven: false,
            token_life: Duration::ZERO,
        }
    }
}

impl Supervisor {
    pub(crate) fn new(context: Arc<Context>, spec: Arc<Spec>, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            context,
            spec,
            orders,
            held: None,
            backoff: Backoff::default(),
            waited: false,
        }
    }

    /// Supervises until it is told to stop.
    pub(crate) async fn run(mut self, adopted: Option<Running>) {
        let mut running = adopted;
        if running.is_some() {
            self.waited = true;
        }
        loop {
            let next = match running.take() {
                Some(running) => self.watch(running).await,
                None => match self.start().await {
                    Ok(started) => self.watch(started).await,
                    Err(next) => next,
                },
            };
            match next {
                Next::Start => {}
                Next::Watch(taken_over) => running = Some(taken_over),
                Next::Pause(pause) => {
                    if !self.pause(pause).await {
                        return;
                    }
                }
                Next::End => return,
            }
        }
    }

    /// The next order, beginning with one that was held back.
    async fn order(&mut self) -> Option<Order> {
        match self.held.take() {
            Some(order) => Some(order),
            None => self.orders.recv().await,
        }
    }

    /// Waits before the next start; false when the supervisor is to end.
    async fn pause(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return true,
                order = self.order() => match self.idle(order) {
                    Some(Next::End) => return false,
                    Some(_) => return true,
                    None => {}
                },
            }
        }
    }

    /// Obeys an order while no process runs.
    fn idle(&mut self, order: Option<Order>) -> Option<Next> {
        match order {
            None => Some(Next::End),
            Some(Order::Stop(done)) => {
                self.set(InstanceState::Stopped, None);
                // Whoever asked may have gone.
                let _ = done.send(());
                Some(Next::End)
            }
            Some(Order::Replace(spec, done)) => {
                self.spec = spec;
                let _ = done.send(());
                Some(Next::Start)
            }
            // Nothing serves, so there is nothing to keep: the roll waits for readiness by itself.
            Some(Order::Roll(spec, done)) => {
                self.spec = spec;
                let _ = done.send(Ok(()));
                Some(Next::Start)
            }
            Some(Order::Signal(_, pid)) => {
                let _ = pid.send(None);
                None
            }
        }
    }

    async fn start(&mut self) -> Result<Running, Next> {
        self.wait_for_needs().await?;
        self.move_from_taken_port();
        self.context.board.update(&self.spec.slot, |row| {
            if row.state != InstanceState::CrashLoop {
                row.state = InstanceState::Starting;
            }
            row.version = self.spec.version.clone();
            (row.port, row.public_port) = (self.spec.port, self.spec.public_port);
        });
        let running = match self.launch(&self.spec.clone()).await {
            Ok((running, _)) => running,
            Err(error) => return Err(self.not_started(&error)),
        };
        self.record(&running);
        let store = self.context.store.clone();
        tokio::spawn(async move { store.save().await });
        let (slot, pid) = (&self.spec.slot, running.process.id().pid);
        self.tell(EventKind::Starting, format!("{slot} starts (pid {pid})"));
        Ok(running)
    }

    /// Starts a process; with it the offset of the log file at which its lines begin.
    async fn launch(&self, spec: &Spec) -> std::io::Result<(Running, u64)> {
        let incarnation = Incarnation::new();
        let token_life = token::first(&self.context, spec, incarnation).await;
        let name = spec.slot.to_string();
        let listeners = (spec.slot.role == Role::Gateway).then_some(&self.context.listeners);
        let begin = |offset| self.context.offsets.begin(&name, offset, incarnation);
        let configured = configured::now(&self.context.control, &self.context.inherited, spec).await;
        let spec = configured.as_ref().unwrap_or(spec);
        let launched = launch::launch(spec, &self.context.inherited, incarnation, listeners, begin)?;
        let pid = launched.process.id().pid;
        self.context.tracked.lock().insert(pid);
        tracing::debug!(slot = %name, pid, offset = launched.log_offset, "started");
        let running = Running {
            process: launched.process,
            incarnation,
            adopted: false,
            proven: false,
            token_life,
        };
        Ok((running, launched.log_offset))
    }

    /// Notes the process of the slot for the next agent.
    fn record(&self, running: &Running) {
        let record = Record {
            process: running.process.id(),
            incarnation: running.incarnation,
            fingerprint: self.spec.fingerprint.clone(),
            port: self.spec.port,
            started: jiff::Timestamp::now(),
        };
        let slot = self.spec.slot.to_string();
        self.context
            .store
            .update(|state| state.processes.insert(slot, record));
    }

    /// A brick whose port somebody else took since its last start gets another one. The platform's own ports stay: every
    /// process knows them.
    fn move_from_taken_port(&mut self) {
        let (slot, taken) = (self.spec.slot.clone(), self.spec.port);
        if slot.role != Role::Brick {
            return;
        }
        match self.context.ports.instead_of(&slot.to_string(), taken) {
            Ok(None) => {}
            Ok(Some((port, msg))) => {
                self.spec = Arc::new(self.spec.at_port(port));
                self.tell(EventKind::Warning, msg);
                self.tell_proxy();
                self.context.tell_moved(&slot);
            }
            Err(error) => self.tell(EventKind::Warning, error.to_string()),
        }
    }

    /// Tells the host proxy where the process serves, where it stands behind it.
    fn tell_proxy(&self) {
        let spec = &self.spec;
        if spec.public_port.is_none() {
            return;
        }
        let told = plan::proxy::move_served(&self.context.proxy_file, &spec.slot.to_string(), spec.port);
        if let Err(error) = told {
            let msg = format!("the host proxy is not told that {} moved: {error}", spec.slot);
            self.tell(EventKind::Warning, msg);
        }
    }

    fn not_started(&mut self, error: &std::io::Error) -> Next {
        let slot = &self.spec.slot;
        let pause = self.backoff.died(Instant::now(), Duration::ZERO, rand::random());
        let program = self.spec.program.display().to_string();
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => format!("; {}", install_hint(&program)),
            _ => String::new(),
        };
        let why = format!("{slot} cannot be started: {program}: {error}{hint}");
        let before = self.context.board.get(slot).map(|row| row.state);
        self.set(InstanceState::Failed, Some(why.clone()));
        self.context.board.update(slot, |row| row.given_up = true);
        if before != Some(InstanceState::Failed) {
            let lines = logs::last_written(&self.spec.log, 0, TAIL_LINES);
            let event = Event::new(EventKind::Failed, format!("{why}. It is tried again")).brick(&slot.brick);
            self.context
                .events
                .send(event.instance(slot.to_string()).lines(lines));
        }
        Next::Pause(pause.max(Duration::from_millis(500)))
    }

    async fn watch(&mut self, running: Running) -> Next {
        let started = Instant::now();
        self.begin(&running);
        let (sender, mut healthy) = watch::channel(None);
        let client = self.context.client.clone();
        let probe = readiness::probe(client, self.spec.health_url(), self.spec.health_every, sender);
        let _prober = Task(tokio::spawn(probe));
        let mut keeper = self.keep_token(&running);
        let mut announcer: Option<Task> = None;
        let mut ready_since = running.proven.then_some(started);
        let mut grace = (!running.proven).then_some(started + self.spec.health_grace);
        loop {
            let patience = grace.unwrap_or(started + Duration::from_secs(86_400 * 365));
            tokio::select! {
                biased;
                () = running.process.ended() => {
                    let ready_for = ready_since.map_or(Duration::ZERO, |since| since.elapsed());
                    return self.bury(running, started, ready_for).await;
                }
                order = self.order() => match order {
                    None => return Next::End,
                    Some(Order::Signal(signal, pid)) => {
                        let sent = running.process.signal(signal).is_ok();
                        let _ = pid.send(sent.then_some(running.process.id().pid));
                    }
                    Some(Order::Stop(done)) => {
                        self.stop(running).await;
                        let _ = done.send(());
                        return Next::End;
                    }
                    Some(Order::Replace(spec, done)) => {
                        self.stop(running).await;
                        self.spec = spec;
                        let _ = done.send(());
                        return Next::Start;
                    }
                    Some(Order::Roll(spec, done)) => {
                        // Both processes read one token file, and it is the new one's now.
                        drop(keeper.take());
                        if let Some(next) = self.rolled(&running, spec, done).await {
                            return next;
                        }
                        keeper = self.keep_token(&running);
                    }
                },
                Ok(()) = healthy.changed() => {
                    let now = *healthy.borrow_and_update() == Some(true);
                    if now && ready_since.is_some() {
                        continue;
                    }
                    ready_since = now.then(|| ready_since.unwrap_or_else(Instant::now));
                    let first = grace.take().is_some();
                    announcer = self.turned(now, first, started, running.incarnation).or(announcer.filter(|_| now));
                }
                () = tokio::time::sleep_until(patience), if grace.is_some() => {
                    grace = None;
                    self.never_ready();
                }
            }
        }
    }

    /// Shows a process that is watched from now on.
    fn begin(&self, running: &Running) {
        let slot = self.spec.slot.clone();
        self.context.board.update(&slot, |row| {
            row.pid = Some(running.process.id().pid);
            row.incarnation = Some(running.incarnation);
            row.adopted = running.adopted;
            if !running.proven {
                (row.answered, row.healthy, row.registered) = (false, false, false);
            }
        });
        if running.adopted {
            self.tell(
                EventKind::Adopted,
                format!("{slot} still runs (pid {}): taken over", running.process.id().pid),
            );
        }
    }

    /// Notes that health changed; the first yes is announced once control knows the instance.
    fn turned(&self, healthy: bool, first: bool, started: Instant, incarnation: Incarnation) -> Option<Task> {
        let slot = self.spec.slot.clone();
        let answered = self.context.board.update(&slot, |row| {
            row.healthy = healthy;
            let before = row.answered;
            row.answered |= healthy;
            before
        });
        if !healthy {
            let problem = format!("{slot}: its health path does not say yes any more");
            self.set(InstanceState::Unready, Some(problem));
            self.tell(EventKind::Unready, format!("{slot} is not ready any more"));
            return None;
        }
        let context = self.context.clone();
        let announce = async move {
            if slot.role == Role::Control || slot.role == Role::Brick {
                let known = context
                    .board
                    .wait(|rows| rows.get(&slot).is_none_or(|row| row.registered));
                // Control may be away: the instance is ready all the same.
                let _ = tokio::time::timeout(LET_GO, known).await;
            }
            let msg = match first || answered == Some(false) {
                true => format!("{slot} is ready after {} ms", started.elapsed().as_millis()),
                false => format!("{slot} is ready again"),
            };
            let event = Event::new(EventKind::Ready, msg).brick(&slot.brick);
            let event = event.instance(slot.to_string());
            // Told before anybody can see the row: that everything is ready is told last.
            context.board.update(&slot, |row| {
                if row.incarnation == Some(incarnation) && row.healthy {
                    (row.state, row.problem, row.given_up) = (InstanceState::Ready, None, false);
                    context.events.send(event);
                }
            });
        };
        Some(Task(tokio::spawn(announce)))
    }

    fn never_ready(&self) {
        let slot = &self.spec.slot;
        let grace = self.spec.health_grace.as_secs_f64();
        let problem = format!(
            "{slot} is not ready after {grace} s: expected {}; look at its lines, check that it listens on PORT, or raise `health.grace`. It is asked on",
            self.spec.health_wanted()
        );
        self.context.board.update(slot, |row| {
            row.given_up = true;
            row.problem = Some(problem.clone());
        });
        let event = Event::new(EventKind::NeverReady, problem).brick(&slot.brick);
        let lines = logs::last_written(&self.spec.log, 0, TAIL_LINES);
        self.context
            .events
            .send(event.instance(slot.to_string()).lines(lines));
    }

    fn set(&self, state: InstanceState, problem: Option<String>) {
        self.context.board.update(&self.spec.slot, |row| {
            (row.state, row.problem) = (state, problem);
        });
    }

    fn tell(&self, kind: EventKind, msg: String) {
        let slot = &self.spec.slot;
        let event = Event::new(kind, msg).brick(&slot.brick);
        self.context.events.send(event.instance(slot.to_string()));
    }
}
