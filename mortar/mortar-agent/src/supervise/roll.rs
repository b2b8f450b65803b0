//! Replacing a process by a new one beside it, so that somebody serves at any moment: the old one goes on until the new
//! one is ready and the callers know it. A new one that fails is taken away, and nothing has changed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use brick_core::Instance;
use rustix::process::Signal;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::{LET_GO, Next, Order, Running, Supervisor, TAIL_LINES, Task, readiness, token};
use crate::api::InstanceState;
use crate::events::EventKind;
use crate::launch::Spec;
use crate::logs;
use crate::ports::loopback;

/// How long callers may take to learn of a new process while control is away.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(100);
/// How long the host proxy may take to say that it leads requests to where a process serves by now.
const PROXY_WITHIN: Duration = Duration::from_secs(2);
const PROXY_ASK_EVERY: Duration = Duration::from_millis(5);

/// Why a new process did not take over.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) why: String,
    /// The last lines that were written since it started.
    pub(crate) lines: Vec<String>,
}

impl Supervisor {
    /// Starts `spec` beside `old` and ends `old` once the new process is ready; the new one, or why there is none.
    async fn roll(&mut self, old: &Running, spec: Arc<Spec>) -> Result<Running, Rejected> {
        let without_lines = |why: String| Rejected {
            why,
            lines: Vec::new(),
        };
        if self.context.control.is_there().await.is_err() {
            let why = "control does not answer, so callers could not learn of a new process; try again when it is back";
            return Err(without_lines(why.to_owned()));
        }
        let (new, offset) = self.launch(&spec).await.map_err(|error| {
            without_lines(format!("{} cannot be started: {error}", spec.program.display()))
        })?;
        let (slot, pid) = (&self.spec.slot, new.process.id().pid);
        let msg = format!(
            "{slot} gets a new process (pid {pid}, port {}) beside pid {}",
            spec.port,
            old.process.id().pid
        );
        self.tell(EventKind::Starting, msg);
        match self.becomes_ready(old, &new, &spec).await {
            Ok(()) => {
                self.spec = spec;
                self.take_over(&new).await;
                self.finish(old).await;
                Ok(new)
            }
            Err(why) => {
                // It may have ended already.
                let _ = new.process.signal(Signal::KILL);
                new.process.ended().await;
                self.sweep(&new).await;
                let lines = logs::last_written(&spec.log, offset, TAIL_LINES);
                self.restore(old, &spec).await;
                Err(Rejected { why, lines })
            }
        }
    }

    /// Rolls and says how it went; what to do next where the old process has gone.
    pub(super) async fn rolled(
        &mut self,
        old: &Running,
        spec: Arc<Spec>,
        done: oneshot::Sender<Result<(), Rejected>>,
    ) -> Option<Next> {
        let (answer, next) = match self.roll(old, spec).await {
            Ok(new) => (Ok(()), Some(Next::Watch(Running { proven: true, ..new }))),
            Err(rejected) => (Err(rejected), None),
        };
        // Whoever asked may have gone.
        let _ = done.send(answer);
        next
    }

    /// Waits for the first ready answer of the new process; why it will not come.
    async fn becomes_ready(&mut self, old: &Running, new: &Running, spec: &Spec) -> Result<(), String> {
        let (sender, mut healthy) = watch::channel(None);
        let probe = readiness::probe(
            self.context.client.clone(),
            spec.health_url(),
            spec.health_every,
            sender,
        );
        let _prober = Task(tokio::spawn(probe));
        let late = tokio::time::sleep(spec.health_grace);
        tokio::pin!(late);
        let context = self.context.clone();
        loop {
            tokio::select! {
                biased;
                () = new.process.ended() => {
                    return Err(format!("it ended with {} before it was ready", new.process.reap()));
                }
                () = old.process.ended() => {
                    return Err("the old process ended meanwhile and is started again as after any death".to_owned());
                }
                () = context.hurry.requested() => return Err("the system is being stopped".to_owned()),
                Ok(()) = healthy.changed() => return Ok(()),
                () = &mut late => {
                    return Err(format!(
                        "it is not ready after {} s: expected {}",
                        spec.health_grace.as_secs_f64(),
                        spec.health_wanted()
                    ));
                }
                order = self.orders.recv() => match order {
                    Some(Order::Signal(signal, pid)) => {
                        let sent = old.process.signal(signal).is_ok();
                        let _ = pid.send(sent.then_some(old.process.id().pid));
                    }
                    other => {
                        self.held = other;
                        return Err("it was asked to stop or to change meanwhile".to_owned());
                    }
                },
            }
        }
    }

    /// From here on the slot is the new process; returns when the callers know.
    async fn take_over(&self, new: &Running) {
        let (context, spec) = (&self.context, &self.spec);
        self.record(new);
        context
            .store
            .update(|state| state.ports.insert(spec.slot.to_string(), spec.port));
        context.store.save().await;
        context.board.update(&spec.slot, |row| {
            (row.version, row.zone, row.port) = (spec.version.clone(), spec.zone.clone(), spec.port);
            row.public_port = spec.public_port;
            (row.pid, row.incarnation) = (Some(new.process.id().pid), Some(new.incarnation));
            (row.answered, row.healthy, row.registered) = (true, true, false);
            (row.state, row.problem) = (InstanceState::Ready, None);
            (row.adopted, row.given_up) = (false, false);
        });
        let instance = Instance {
            brick: spec.slot.brick.clone(),
            version: spec.version.clone(),
            slot: spec.slot.number,
            incarnation: new.incarnation,
            zone: spec.zone.clone(),
            addr: spec.addr(),
            concurrent: spec.slot.version.is_some(),
        };
        if spec.public_port.is_some() {
            self.tell_proxy();
            self.proxy_knows().await;
        }
        // The new start replaces the old one in its slot: callers lose the one in the same moment in which they get the
        // other.
        let until = Instant::now() + TOLD_WITHIN;
        while Instant::now() < until && !context.hurry.is_requested() {
            if context.control.register(&instance, LET_GO).await.is_ok() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
        let slot = &spec.slot;
        let msg = format!("control was not there to tell the callers of {slot} that its process changed");
        self.tell(EventKind::Warning, msg);
    }

    /// Returns when the host proxy leads the slot's requests to where its process serves by now.
    async fn proxy_knows(&self) {
        let (context, slot) = (&self.context, self.spec.slot.to_string());
        let here = loopback(self.spec.port);
        let says = async {
            loop {
                let asked = context.client.get(&context.proxy_served).timeout(PROXY_WITHIN);
                let led: Result<BTreeMap<String, SocketAddr>, _> = asked.json().await;
                if led.is_ok_and(|led| led.get(&slot) == Some(&here)) {
                    return;
                }
                tokio::time::sleep(PROXY_ASK_EVERY).await;
            }
        };
        if tokio::time::timeout(PROXY_WITHIN, says).await.is_err() {
            let msg = format!(
                "the host proxy did not say in time that it leads requests to the new process of {slot}"
            );
            self.tell(EventKind::Warning, msg);
        }
    }

    /// Makes the old process what it was: its token in the file, its lines its own.
    async fn restore(&self, old: &Running, tried: &Spec) {
        let length = std::fs::metadata(&tried.log).map_or(0, |meta| meta.len());
        let slot = self.spec.slot.to_string();
        self.context.offsets.begin(&slot, length, old.incarnation);
        // While control is away the old token stays; it is renewed as ever.
        let _ = token::issue(&self.context, &self.spec, old.incarnation).await;
    }
}
