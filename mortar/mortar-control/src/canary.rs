//! Canaries: a new version gets a growing share of the keys, step by step, for as long as it does as well as the base.
//!
//! What a canary wants and where it stands is kept in the store (`canary/<brick>`), with every step that it takes in the
//! same transaction as the share that it gives, so that a restart of control continues it. What is held against what,
//! the instances' own metrics, is asked for while a step lasts; after a restart the step begins anew.
//!
//! What always holds: a step ends only with enough of what was measured to say that the version is not worse
//! ([`judge`]); too little is no success. Nobody changes version within a step, for shares are of buckets.

pub(crate) mod course;
pub(crate) mod figures;
pub(crate) mod judge;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use brick_core::{Drain, Incarnation, Version};
use futures_util::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use crate::audit::Entry;
use crate::pools::{POOLS, Wanted};
use crate::service::Handle;
use crate::state::{Action, State};
use crate::{Error, audit::By};
use course::{Course, Point};
use figures::Figures;
use judge::{Limits, Verdict};

/// What the names of settings begin with.
pub(crate) const CANARIES: &str = "canary/";
/// How often instances are asked.
const LOOK: Duration = Duration::from_secs(1);
/// A step of which too little is known is given up after so many times its hold.
const PATIENCE: u32 = 20;

/// A canary, as it is kept and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Canary {
    /// The brick.
    pub(crate) brick: String,
    /// The version that is tried.
    pub(crate) version: Version,
    /// The version that it is held against.
    pub(crate) base: Version,
    /// Shares in percent, one after the other.
    pub(crate) steps: Vec<u32>,
    /// How long a step lasts at least, in milliseconds.
    pub(crate) hold_ms: u64,
    /// When it is aborted.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Where it stands.
    pub(crate) phase: Phase,
    /// The step it is at, from 0.
    pub(crate) step: usize,
    /// Why it ended, or what it waits for.
    pub(crate) reason: String,
    /// When it began.
    #[schemars(with = "String")]
    pub(crate) started: Timestamp,
    /// When it took its last step.
    #[schemars(with = "String")]
    pub(crate) stepped: Timestamp,
    /// The base's figures over the last step in which it had a share: what the last step is held against.
    #[serde(default)]
    pub(crate) baseline: Option<Figures>,
    /// What the brick's versions were before; an abort goes back to it.
    #[serde(default)]
    pub(crate) before: Option<Value>,
    /// What was seen when each step ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) course: Vec<Point>,
}

/// Where a canary stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Its share grows.
    Running,
    /// The version has all.
    Promoted,
    /// The version has nothing.
    Aborted,
}

/// How a version does in the step under way, beside what it is held against.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Look {
    /// The step that it is about, from 0.
    step: usize,
    /// What the version did since the step began.
    own: Seen,
    /// What the base did in the same time; in the last step, where it has no share, in the one before.
    base: Seen,
    /// `worse`, `as-good`, or `unknown` as long as too little is known.
    verdict: &'static str,
    /// In what it is worse, or what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// When the instances were asked.
    #[schemars(with = "String")]
    at: Timestamp,
}

/// Calls of one version.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Seen {
    /// How many.
    calls: u64,
    /// Of these, answered with 5xx.
    errors: u64,
    /// The bound in milliseconds that 99 % of them keep to; absent where nothing was called, or more took longer than
    /// the largest bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
}

/// The newest look at each canary since this process began, and how it went until then. In memory alone: the next look is
/// a second away, and the end of each step is in the store.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<String, (Look, Course)>>);

impl Looks {
    /// How this canary does, or did when it ended.
    pub(crate) fn at(&self, canary: &Canary) -> Option<Look> {
        let looks = self.0.lock();
        let (look, course) = looks.get(&canary.brick)?;
        course.is_of(canary).then(|| look.clone())
    }

    /// How this canary went so far, the newest look at its end.
    pub(crate) fn course(&self, canary: &Canary) -> Vec<Point> {
        let looks = self.0.lock();
        let held = looks
            .get(&canary.brick)
            .filter(|(_, course)| course.is_of(canary));
        let Some((look, course)) = held else {
            return canary.course.clone();
        };
        let newest = Point::of(canary, look);
        let mut points = course.points().to_vec();
        if points.last().is_none_or(|last| last.at < newest.at) {
            points.push(newest);
        }
        points
    }

    fn put(&self, canary: &Canary, look: Look, ends: bool) {
        let mut looks = self.0.lock();
        let held = looks.remove(&canary.brick).map(|(_, course)| course);
        let held = held.filter(|course| course.is_of(canary));
        let mut course = held.unwrap_or_else(|| Course::new(canary));
        course.push(Point::of(canary, &look), ends);
        looks.insert(canary.brick.clone(), (look, course));
    }

    /// Forgets canaries of bricks that are gone.
    fn keep(&self, state: &State) {
        self.0
            .lock()
            .retain(|brick, _| state.settings.contains_key(&format!("{CANARIES}{brick}")));
    }
}

impl From<&Figures> for Seen {
    fn from(figures: &Figures) -> Self {
        Self {
            calls: figures.calls,
            errors: figures.errors,
            p99_ms: figures.quantile(0.99).map(|us| us as f64 / 1e3),
        }
    }
}

impl Look {
    fn new(canary: &Canary, own: &Figures, base: &Figures, found: &Verdict) -> Self {
        let (verdict, because) = match found {
            Verdict::Worse(why) => ("worse", Some(why.clone())),
            Verdict::AsGood => ("as-good", None),
            Verdict::Unknown(why) => ("unknown", Some(why.clone())),
        };
        Self {
            step: canary.step,
            own: own.into(),
            base: base.into(),
            verdict,
            because,
            at: Timestamp::now(),
        }
    }
}

/// What was measured since the step began. In memory alone.
#[derive(Debug, Default)]
struct Watched {
    /// The step that it is about.
    step: Option<(Timestamp, usize)>,
    begun: Option<Instant>,
    /// Each instance when the step began; one that came later counts from its start.
    first: HashMap<Incarnation, Figures>,
    /// Each instance when it was asked last.
    last: HashMap<Incarnation, (Version, Figures)>,
}

impl Canary {
    pub(crate) fn name(&self) -> String {
        format!("{CANARIES}{}", self.brick)
    }

    /// The share of its step in percent.
    pub(crate) fn share(&self) -> u32 {
        match self.phase {
            Phase::Running => self.steps.get(self.step).copied().unwrap_or(100),
            Phase::Promoted => 100,
            Phase::Aborted => 0,
        }
    }

    /// The versions of the brick as the canary wants them: rules and stickiness as they were before.
    fn pool(&self) -> Option<Value> {
        if self.phase == Phase::Aborted {
            return self.before.clone();
        }
        let before = self.before.clone().unwrap_or_default();
        let mut wanted = Wanted::deserialize(&before).unwrap_or_default();
        wanted.weights = std::iter::once((self.version.clone(), self.share())).collect();
        wanted.sticky = wanted.sticky.or_else(|| Some("user".to_owned()));
        // Copies would be among what it is judged by.
        wanted.mirror = wanted.mirror.filter(|mirror| mirror.version != self.version);
        serde_json::to_value(wanted).ok()
    }

    /// What the store is asked for: where it stands and the share that goes with it, in one.
    fn action(&self) -> Result<Action, Error> {
        let value = crate::derive::value(self)?;
        Ok(Action::SetAll(vec![
            (self.name(), Some(value)),
            (format!("{POOLS}{}", self.brick), self.pool()),
        ]))
    }

    /// Puts it into the store, and writes it down.
    pub(crate) async fn put(&self, handle: &Handle, entry: Entry) -> Result<Arc<State>, Error> {
        handle.change(self.action()?, entry).await
    }

    /// Ends it, with what was seen of it last.
    pub(crate) fn end(&mut self, phase: Phase, reason: impl Into<String>, look: Option<&Look>) {
        (self.phase, self.reason) = (phase, reason.into());
        self.passed(look);
    }

    /// Keeps what was seen when a step ended.
    fn passed(&mut self, look: Option<&Look>) {
        let point = look.map(|look| Point::of(self, look));
        self.course.extend(point);
    }
}

/// The canary of a brick, running or over.
pub(crate) fn of(state: &State, brick: &str) -> Option<Canary> {
    let held = state.settings.get(&format!("{CANARIES}{brick}"))?;
    Canary::deserialize(&**held).ok()
}

/// Refuses to touch the shares of a brick whose canary moves them.
pub(crate) fn none_runs(state: &State, brick: &str) -> Result<(), Error> {
    match of(state, brick) {
        Some(canary) if canary.phase == Phase::Running => Err(Error::Canary {
            brick: brick.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Looks after canaries until the drain is requested.
pub(crate) async fn watch(handle: Handle, drain: Drain) {
    let mut watched: HashMap<String, Watched> = HashMap::new();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = drain.requested() => return,
        }
        let state = handle.state();
        let named = state.settings_below(CANARIES);
        let running = named.filter_map(|(brick, _)| of(&state, brick));
        let running: Vec<Canary> = running.filter(|canary| canary.phase == Phase::Running).collect();
        handle.looks().keep(&state);
        watched.retain(|brick, _| running.iter().any(|canary| canary.brick == *brick));
        for canary in running {
            let seen = watched.entry(canary.brick.clone()).or_default();
            if let Err(error) = look_at(&handle, &state, canary, seen).await {
                let error = brick_core::chain(&error);
                tracing::warn!(error, "a canary cannot take its step yet");
            }
        }
    }
}

/// Asks the instances, and takes the step that what they say calls for.
async fn look_at(handle: &Handle, state: &State, canary: Canary, seen: &mut Watched) -> Result<(), Error> {
    let asked = ask(handle, state, &canary.brick).await;
    let step = (canary.started, canary.step);
    if seen.step != Some(step) {
        *seen = Watched {
            step: Some(step),
            begun: Some(Instant::now()),
            first: asked
                .iter()
                .map(|(one, (_, figures))| (*one, figures.clone()))
                .collect(),
            last: asked,
        };
        return Ok(());
    }
    seen.last.extend(asked);
    let figures = |version: &Version| seen.since(version);
    let (own, base) = (figures(&canary.version), figures(&canary.base));
    let is_up = state.instances.values().any(|one| {
        one.instance.brick.as_str() == canary.brick && one.instance.version == canary.version && one.ready
    });
    let held = seen
        .begun
        .is_some_and(|begun| begun.elapsed() >= Duration::from_millis(canary.hold_ms));
    let patience = Duration::from_millis(canary.hold_ms).saturating_mul(PATIENCE);
    let tired = seen.begun.is_some_and(|begun| begun.elapsed() >= patience);
    // In the last step the base has no share any more: what it did before counts.
    let held_against = match (&canary.baseline, base.calls >= canary.limits.min_calls) {
        (Some(before), false) => before.clone(),
        _ => base,
    };
    let found = judge::judge(&own, &held_against, &canary.limits);
    let look = Look::new(&canary, &own, &held_against, &found);
    let found = match is_up {
        true => found,
        false => Verdict::Worse(format!("no instance of {} is up", canary.version)),
    };
    let next = next(&canary, found, (held, tired), &look, held_against);
    handle.looks().put(&canary, look, next.is_some());
    let Some(next) = next else { return Ok(()) };
    let action = match next.phase {
        Phase::Running => "canary.step",
        Phase::Promoted => "canary.promote",
        Phase::Aborted => "canary.abort",
    };
    let by = By {
        who: "control".to_owned(),
        why: Some(next.reason.clone()).filter(|reason| !reason.is_empty()),
        trace_id: None,
    };
    let entry = by
        .did(action, canary.name())
        .turning(canary.share().into(), next.share().into());
    tracing::warn!(brick = canary.brick, version = %canary.version, share = next.share(), reason = next.reason, action, "canary");
    next.put(handle, entry).await.map(drop)
}

/// What the canary becomes of what was found, none where the step goes on; `held` and `tired` say whether it has lasted as
/// long as it must, and as it may.
fn next(
    canary: &Canary,
    found: Verdict,
    (held, tired): (bool, bool),
    look: &Look,
    base: Figures,
) -> Option<Canary> {
    let mut next = canary.clone();
    match found {
        Verdict::Worse(why) => next.end(Phase::Aborted, why, Some(look)),
        Verdict::Unknown(why) if tired => {
            next.end(Phase::Aborted, format!("too little is known: {why}"), Some(look));
        }
        Verdict::AsGood if held && canary.step + 1 == canary.steps.len() => {
            next.end(Phase::Promoted, "every step was passed", Some(look));
        }
        Verdict::AsGood if held => {
            next.passed(Some(look));
            next.step += 1;
            next.stepped = Timestamp::now();
            next.baseline = Some(base);
            next.reason = String::new();
        }
        Verdict::Unknown(_) | Verdict::AsGood => return None,
    }
    Some(next)
}

/// Every instance of the brick that answers, with what it counted so far.
async fn ask(handle: &Handle, state: &State, brick: &str) -> HashMap<Incarnation, (Version, Figures)> {
    let all = state.instances.values();
    let of_brick = all.filter(|one| one.instance.brick.as_str() == brick && one.quarantined.is_none());
    let asked = of_brick.map(|one| async move {
        let figures = figures::ask(handle.http(), one.instance.addr).await?;
        Some((one.instance.incarnation, (one.instance.version.clone(), figures)))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

impl Watched {
    /// What the version did since the step began, all of its instances together.
    fn since(&self, version: &Version) -> Figures {
        let mut sum = Figures::default();
        for (incarnation, (of, figures)) in &self.last {
            if of == version {
                sum.add(&figures.since(self.first.get(incarnation)));
            }
        }
        sum
    }
}
