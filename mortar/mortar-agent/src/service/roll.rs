//! Rolls: the instances of a brick are replaced one after the other, each by a new process beside it; the first that does
//! not become ready ends the roll.

use std::sync::Arc;
use std::time::Duration;

use brick_core::{BrickName, BrickRef, env};
use brick_model::Model;
use tokio::sync::mpsc;

use super::adopt::still_runs;
use super::{Handle, Shared};
use crate::Error;
use crate::api::{InstanceState, Roll, Rolled};
use crate::board::{Role, Slot};
use crate::events::{Event, EventKind};
use crate::launch::Spec;
use crate::linux::session::has_environment;
use crate::logs;
use crate::plan::known;
use crate::supervise::Rejected;

/// Log lines that are shown with a failure.
const TAIL_LINES: usize = 12;
/// How long a process that others were told of may take to say on the bus that it follows it.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

impl Handle {
    /// Builds a brick and replaces its instances, or those of one version, one after the other without a gap. One that
    /// does not become ready stops the roll: it and those after it stay as they were.
    pub async fn roll(&self, roll: Roll) -> Result<Rolled, Error> {
        let shared = &self.shared;
        let _one = shared.applying.lock().await;
        let model = shared.model.borrow().clone();
        let (of, _) = known(&model, &roll.brick)?;
        if !roll.no_build {
            shared
                .build_of(&model, std::slice::from_ref(&of.brick), &shared.down_asked)
                .await?;
        }
        let all = roll.brick.version.is_none();
        let specs = shared.specs_of(&model, |slot| slot.brick == of.brick && (all || slot.of() == of))?;
        if specs.is_empty() {
            return Err(Error::Invalid {
                what: "the number of instances to roll",
                expected: format!("at least 1; start some with `brick scale {}=1`", roll.brick),
                found: "0".to_owned(),
            });
        }
        let msg = format!(
            "{} rolls: {}",
            roll.brick,
            match specs.len() {
                1 => "1 instance".to_owned(),
                all => format!("{all} instances, one after the other"),
            }
        );
        shared.tell(EventKind::RollStarted, &of, msg);
        let mut replaced = Vec::new();
        for spec in specs {
            let slot = spec.slot.to_string();
            if let Err(rejected) = shared.replace_beside(spec).await? {
                return Err(shared.roll_failed(&of, slot, replaced, rejected));
            }
            replaced.push(slot);
        }
        let msg = format!("{} is rolled: {}", roll.brick, replaced.join(", "));
        shared.tell(EventKind::RollDone, &of, msg);
        Ok(Rolled {
            brick: roll.brick,
            replaced,
        })
    }
}

impl Shared {
    /// The slots that run, as the model says that they should be by now.
    pub(super) fn specs_of(&self, model: &Model, wanted: impl Fn(&Slot) -> bool) -> Result<Vec<Spec>, Error> {
        let running = |slot: &str| still_runs(&self.context.store, slot);
        let specs = self.ground.plan(model, running)?.specs.into_iter();
        Ok(specs
            .filter(|spec| spec.slot.role == Role::Brick && wanted(&spec.slot))
            .collect())
    }

    /// Replaces the process of one slot by a new one on a port of its own; an error is that of the agent, a rejection that
    /// of the new process.
    async fn replace_beside(&self, spec: Spec) -> Result<Result<(), Rejected>, Error> {
        let slot = spec.slot.clone();
        let spec = Arc::new(spec.at_port(self.context.ports.fresh(&slot.to_string())?));
        let asked = self.fleet.lock().await.roll(spec.clone()).await;
        let Some(answer) = asked else {
            return Ok(Ok(()));
        };
        match answer.await.map_err(|_| Error::Stopping)? {
            Ok(()) => self.fleet.lock().await.rolled(spec.clone()),
            Err(rejected) => return Ok(Err(rejected)),
        }
        let ready = self.context.board.wait(|rows| {
            rows.get(&slot)
                .is_none_or(|row| row.state == InstanceState::Ready && row.answered)
        });
        if tokio::time::timeout(spec.health_grace, ready).await.is_err() {
            return Ok(Err(Rejected {
                why: format!(
                    "it had no process, and the new one is not ready after {:?}",
                    spec.health_grace
                ),
                lines: logs::last_written(&spec.log, 0, TAIL_LINES),
            }));
        }
        let event = Event::new(EventKind::Replaced, format!("{slot} is replaced"));
        self.context
            .events
            .send(event.brick(&slot.brick).instance(slot.to_string()));
        self.context.tell_moved(&slot);
        Ok(Ok(()))
    }

    fn roll_failed(&self, of: &BrickRef, slot: String, replaced: Vec<String>, rejected: Rejected) -> Error {
        let before = match replaced.is_empty() {
            true => String::new(),
            false => format!(", replaced before: {}", replaced.join(", ")),
        };
        let msg = format!(
            "the roll of {of} stopped at {slot}: {}; {slot} and what comes after it stay as they were{before}",
            rejected.why
        );
        let event = Event::new(EventKind::RollFailed, msg.clone()).brick(&of.brick);
        self.context
            .events
            .send(event.instance(slot).lines(rejected.lines.clone()));
        Error::Roll {
            reason: msg,
            tail: rejected.lines.iter().map(|line| format!("\n  {line}")).collect(),
        }
    }

    fn tell(&self, kind: EventKind, of: &BrickRef, msg: String) {
        self.context.events.send(Event::new(kind, msg).brick(&of.brick));
    }
}

/// Replaces what knows a brick by its URL alone when that brick's first slot has another port: a process that does not
/// follow the bus got the URL when it started.
pub(super) async fn follow_moves(shared: Arc<Shared>, mut moved: mpsc::Receiver<BrickName>) {
    while let Some(brick) = moved.recv().await {
        shared.retell(&brick).await;
    }
}

impl Shared {
    async fn retell(&self, brick: &BrickName) {
        let _one = self.applying.lock().await;
        let model = self.model.borrow().clone();
        let needs_it = |slot: &Slot| {
            let dependent = model.bricks.get(&slot.brick);
            dependent.is_some_and(|dependent| dependent.needs.contains(brick))
        };
        let Ok(specs) = self.specs_of(&model, needs_it) else {
            return;
        };
        let url = env::needed_url_name(brick.as_str());
        for spec in specs {
            let slot = spec.slot.clone();
            let Some(dependent) = model.bricks.get(&slot.brick) else {
                continue;
            };
            let told = self.ground.needed_url(&model, &slot, dependent, brick);
            let told = format!("{url}={told}");
            let pid = self.context.board.get(&slot).and_then(|row| row.pid);
            let knows = pid.is_none_or(|pid| has_environment(pid, &told));
            if knows || self.follows_the_bus(&slot).await {
                continue;
            }
            let msg = format!("{slot} is replaced: it knows {brick} by {url}, which is another one now");
            self.tell(EventKind::Changed, &slot.of(), msg);
            if let Ok(Err(rejected)) = self.replace_beside(spec).await {
                let msg = format!("{slot} still has the old {url}: {}", rejected.why);
                let event = Event::new(EventKind::Warning, msg).brick(&slot.brick);
                self.context
                    .events
                    .send(event.instance(slot.to_string()).lines(rejected.lines));
            }
        }
    }

    /// Whether the process of a slot has said on the bus that it follows it; one that has no process, or cannot be asked
    /// about, counts as if it did.
    async fn follows_the_bus(&self, slot: &Slot) -> bool {
        let said = async {
            loop {
                let row = self.context.board.get(slot);
                let Some(incarnation) = row.and_then(|row| row.incarnation) else {
                    return;
                };
                match self.context.control.followers().await {
                    Ok(followers) if !followers.contains(&incarnation) => {}
                    _ => return,
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(SETTLES_WITHIN, said).await.is_ok()
    }
}
