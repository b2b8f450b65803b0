//! Follows the requests of bricks whose number of instances is elastic: asks the instances what they served, and starts
//! or takes away what that calls for.
//!
//! It is the agent who does so, not control: there is one agent in a system, so nobody has to be elected; it alone
//! starts processes; and it goes on while control is away.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use brick_core::{BrickName, BrickRef, Drain, Incarnation, chain};
use brick_model::Elastic;
use brick_wire::exposition;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Handle, Shared};
use crate::api::{Elasticity, InstanceState};
use crate::board::Row;
use crate::elastic::{Decider, Look, Step, needed};
use crate::events::{Event, EventKind};
use crate::fleet::Changed;
use crate::{Error, audit};

/// How often instances are asked.
const LOOK: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Looks in which no instance tells of requests until that is said.
const SILENT_MAX: u32 = 10;

/// What is known of one brick.
#[derive(Debug, Default)]
struct Followed {
    decider: Decider,
    /// What each instance had served when it was asked last.
    served: HashMap<Incarnation, u64>,
    looked: Option<Instant>,
    /// Looks since anybody told of requests.
    silent: u32,
    /// Why the last step was taken.
    reason: Option<String>,
    /// Why the last one could not be.
    refused: Option<String>,
}

/// What the instances said.
#[derive(Debug)]
struct Answers {
    at: Instant,
    said: Vec<Said>,
    /// Instances in quarantine.
    aside: u32,
}

/// What one instance said.
#[derive(Debug)]
struct Said {
    incarnation: Incarnation,
    /// Whether it ran before this agent did.
    adopted: bool,
    /// Requests since its start; none where it does not tell.
    served: Option<u64>,
}

/// Looks after elastic bricks until the drain is requested.
pub(super) async fn run(shared: Arc<Shared>, drain: Drain) {
    let handle = Handle {
        shared: shared.clone(),
    };
    let mut followed: BTreeMap<BrickName, Followed> = BTreeMap::new();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = drain.requested() => return,
        }
        let model = shared.model.borrow().clone();
        let elastic = model
            .running()
            .filter_map(|(name, brick)| Some((name.clone(), *brick.replicas.elastic()?)));
        let elastic: BTreeMap<BrickName, Elastic> = elastic.collect();
        followed.retain(|name, _| elastic.contains_key(name));
        shared.elastic.lock().retain(|name, _| elastic.contains_key(name));
        let asked = elastic.keys().map(|name| shared.ask(name));
        let asked = tokio::select! {
            asked = join_all(asked) => asked,
            () = drain.requested() => return,
        };
        for ((name, rule), answers) in elastic.iter().zip(asked) {
            let of = BrickRef::from(name.clone());
            let known = followed.entry(name.clone()).or_default();
            if let Some(step) = shared.look_at(&of, rule, answers, known) {
                // Not given up half way: what was begun to stop is to be seen to its end.
                handle.follow(&of, step, known).await;
            }
        }
    }
}

impl Shared {
    /// The instances of a brick's base.
    fn base(&self, name: &BrickName) -> Vec<Row> {
        let rows = self.context.board.rows().into_iter();
        let own = rows.filter(|(slot, _)| slot.of() == BrickRef::from(name.clone()));
        own.map(|(_, row)| row).collect()
    }

    /// What each instance has served since its start.
    async fn ask(&self, name: &BrickName) -> Answers {
        let rows = self.base(name);
        let aside = rows.iter().filter(|row| row.is_quarantined()).count();
        let rows = rows.into_iter();
        let running = rows.filter(|row| row.answered && row.pid.is_some());
        let asked = running.filter_map(|row| {
            let client = &self.context.client;
            let incarnation = row.incarnation?;
            Some(async move {
                let call = client.get(format!("http://127.0.0.1:{}/metrics", row.port));
                let sent = call.timeout(TIMEOUT).bytes_max(ANSWER_BYTES_MAX).send();
                let answer = sent.await.and_then(brick_wire::Response::success).ok();
                let text = answer.and_then(|answer| String::from_utf8(answer.body.into()).ok());
                Said {
                    incarnation,
                    adopted: row.adopted,
                    served: text.and_then(|text| exposition::served(&text)),
                }
            })
        });
        let said = join_all(asked).await;
        Answers {
            at: Instant::now(),
            said,
            aside: u32::try_from(aside).unwrap_or(u32::MAX),
        }
    }

    /// Takes note of what the instances said, and tells the step that it calls for.
    fn look_at(&self, of: &BrickRef, rule: &Elastic, answers: Answers, known: &mut Followed) -> Option<Step> {
        let manifest = brick_model::Replicas::Elastic(*rule);
        let mut told = Elasticity {
            min: rule.min,
            max: rule.max,
            target_rps: rule.target_rps,
            replicas: self.ground.replicas(of, manifest),
            by_hand: self.ground.by_hand(of, manifest).is_some(),
            rps: None,
            needed: None,
            reason: known.reason.clone(),
        };
        if told.by_hand {
            (known.decider, known.reason, told.reason) = (Decider::default(), None, None);
        }
        let rps = known.rps(&answers);
        if let Some(rps) = rps {
            told.rps = Some(rps.round() as u64);
            told.needed = Some(needed(rule, rps, answers.aside));
        }
        self.told_silent(of, &answers, known);
        let look = rps.map(|rps| Look {
            at: answers.at,
            replicas: told.replicas,
            rps,
            whole: answers.said.iter().all(|said| said.served.is_some()),
            aside: answers.aside,
        });
        let (by_hand, replicas) = (told.by_hand, told.replicas);
        self.elastic.lock().insert(of.brick.clone(), told);
        let step = known.decider.look(rule, look?)?;
        (!by_hand && self.is_settled(&of.brick, replicas)).then_some(step)
    }

    /// Whether all that was asked for before is done.
    fn is_settled(&self, name: &BrickName, replicas: u32) -> bool {
        let rows = self.base(name);
        let moves = |row: &Row| {
            use InstanceState::{Building, Starting, Stopping};
            matches!(row.state, Building | Starting | Stopping)
        };
        rows.len() == replicas as usize && !rows.iter().any(moves)
    }

    /// Says once that nothing is known of a brick's requests.
    fn told_silent(&self, of: &BrickRef, answers: &Answers, known: &mut Followed) {
        if answers.tell() || answers.said.is_empty() {
            known.silent = 0;
            return;
        }
        known.silent = known.silent.saturating_add(1);
        if known.silent == SILENT_MAX {
            let msg = format!(
                "no instance of {of} counts its requests, so their number stays as it is: expected {} at /metrics",
                exposition::SERVED
            );
            let event = Event::new(EventKind::Warning, msg);
            self.context.events.send(event.brick(&of.brick));
        }
    }
}

impl Answers {
    /// Whether any instance tells of requests.
    fn tell(&self) -> bool {
        self.said.iter().any(|said| said.served.is_some())
    }
}

impl Followed {
    /// Requests a second since the last look, of the instances that told; none at the first, and where none did.
    fn rps(&mut self, answers: &Answers) -> Option<f64> {
        let mut served = 0;
        for said in &answers.said {
            let Some(counted) = said.served else { continue };
            // One that came since then counts from its start; of one that was there before nobody knows since when.
            let first = if said.adopted { counted } else { 0 };
            let before = self.served.insert(said.incarnation, counted).unwrap_or(first);
            served += counted.saturating_sub(before);
        }
        self.served
            .retain(|one, _| answers.said.iter().any(|said| said.incarnation == *one));
        let looked = self.looked.replace(answers.at)?;
        let passed = answers.at.saturating_duration_since(looked).as_secs_f64();
        (passed > 0.0 && answers.tell()).then(|| served as f64 / passed)
    }
}

impl Handle {
    /// Gives a brick as many instances as its requests need, unless somebody set the number meanwhile.
    async fn follow(&self, of: &BrickRef, step: Step, known: &mut Followed) {
        let Step { to, why } = step;
        match self.follow_to(of, to).await {
            Ok(Some(before)) => {
                (known.reason, known.refused) = (Some(why.clone()), None);
                if let Some(told) = self.shared.elastic.lock().get_mut(&of.brick) {
                    (told.replicas, told.reason) = (to, Some(why.clone()));
                }
                let shared = &self.shared;
                let msg = format!("{of} goes from {before} to {to} instances: {why}");
                let event = Event::new(EventKind::Changed, msg);
                shared.context.events.send(event.brick(&of.brick));
                let (before, after) = (json!({ "replicas": before }), json!({ "replicas": to }));
                let did = audit::Did {
                    action: "scale",
                    target: of.to_string(),
                    before,
                    after,
                    why: Some(why),
                    by_itself: true,
                };
                audit::write(self.control(), did);
            }
            Ok(None) => {}
            Err(error) => {
                let error = chain(&error);
                let msg = format!("{of} cannot have the {to} instances that its requests need: {error}");
                // It is tried again at the next look, and told once.
                if known.refused.as_ref() != Some(&msg) {
                    let event = Event::new(EventKind::Warning, msg.clone());
                    self.shared.context.events.send(event.brick(&of.brick));
                    known.refused = Some(msg);
                }
            }
        }
    }

    /// How many it had before; none where nothing was to be done, or something else is being done.
    async fn follow_to(&self, of: &BrickRef, to: u32) -> Result<Option<u32>, Error> {
        let shared = &self.shared;
        let Ok(_one) = shared.applying.try_lock() else {
            return Ok(None);
        };
        let model = shared.model.borrow().clone();
        let Some(brick) = model.bricks.get(&of.brick) else {
            return Ok(None);
        };
        let manifest = brick.replicas;
        let before = shared.ground.replicas(of, manifest);
        let by_hand = shared.ground.by_hand(of, manifest).is_some();
        if by_hand || manifest.elastic().is_none() || before == to {
            return Ok(None);
        }
        let store = &shared.context.store;
        let held = store.update(|state| state.elastic.insert(of.clone(), to));
        // A program that was built meanwhile runs in what starts now, and elsewhere when somebody asks for it.
        if let Err(error) = self.apply_model(model, Changed::Leave).await {
            store.update(|state| match held {
                Some(held) => state.elastic.insert(of.clone(), held),
                None => state.elastic.remove(of),
            });
            return Err(error);
        }
        Ok(Some(before))
    }
}
