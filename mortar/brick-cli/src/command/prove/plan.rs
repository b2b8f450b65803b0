//! What is tried: the questions of a quality, and the experiments that answer each for the system at hand.

use std::collections::BTreeMap;

use brick_core::{BrickName, BrickRef};
use brick_model::{Brick, Concurrent, Model, Replicas};
use mortar_agent::api::{InstanceState, Ps};

use crate::cli::Quality;
use crate::command::scratch::REAL;

/// Label of the version that a scratch system has of every brick: the brick itself once more.
const TWIN: &str = "twin";
/// Zones of bricks that the manifest gives fewer than two.
const ZONES: [&str; 2] = ["a", "b"];
/// The platform's processes, in the order in which they are killed; the agent comes last.
const PLATFORM: [&str; 4] = ["telemetry", "proxy", "control", "gateway"];

const DISPOSABILITY: [&str; 4] = [
    "Can I destroy a service instance at any time without consequence?",
    "Can I repave the entire architecture at any time without consequence?",
    "Can I respond to changes in demand by adding or removing instances of a service without consequence?",
    "Can I replace a sick service instance with a brand new copy without consequence?",
];
const REPLACEABILITY: [&str; 4] = [
    "Can I route traffic to any available service instance without consequence?",
    "If I lose a zone, can I route traffic to another without consequence?",
    "Can I swap between multiple implementations of the same service contract without consequence?",
    "Can I swap between multiple running versions of a service without consequence?",
];

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// SIGKILL to one instance, of a brick or of the platform.
    Kill { slot: String },
    /// SIGKILL to the agent, and a new agent that adopts what runs.
    KillAgent,
    /// Every process is replaced: bricks are rolled, platform processes asked to end, the agent killed.
    Repave {
        bricks: Vec<BrickName>,
        platform: Vec<String>,
    },
    /// One instance more, then one less.
    Scale { brick: BrickName, usual: u32 },
    /// An instance is taken out of its pool, runs on, and is then killed and replaced.
    Quarantine { slot: String },
    /// All instances are replaced one after the other.
    Roll { brick: BrickName },
    /// All traffic of a brick goes to this instance.
    Alone { slot: String, others: Vec<String> },
    /// Every instance of a zone dies, and dies again for some seconds.
    Zone { zone: String },
    /// All traffic goes to another version, then back.
    Swap { to: BrickRef, usual: u32, base: u32 },
}

/// An experiment that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// `kill:order/1`
    pub(super) name: String,
    /// Which question it helps to answer.
    pub(super) question: usize,
    /// Brick that the load has to reach; none where any traffic will do.
    pub(super) brick: Option<BrickName>,
    pub(super) action: Action,
}

/// The experiments, and the questions that none can answer here, with the reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) experiments: Vec<Planned>,
    pub(super) impossible: BTreeMap<usize, String>,
}

/// The questions of a quality, as the pattern language asks them.
pub(super) fn questions(quality: Quality) -> &'static [&'static str; 4] {
    match quality {
        Quality::Disposability => &DISPOSABILITY,
        Quality::Replaceability => &REPLACEABILITY,
    }
}

/// The system as it is run in a scratch folder: at least so many instances of each brick, a number that no requests
/// move, spread over two zones, and a twin of each as a version without instances.
pub(super) fn raised(model: &Model, replicas: u32) -> Model {
    let mut raised = model.clone();
    for brick in raised.bricks.values_mut().filter(|brick| !brick.is_external()) {
        brick.replicas = Replicas::Fixed(brick.replicas.min().max(replicas));
        if brick.zones.len() < 2 {
            brick.zones = ZONES.map(str::to_owned).to_vec();
        }
        if let (Some(run), Ok(label)) = (brick.run.clone(), brick_core::Version::new(TWIN)) {
            let twin = Concurrent {
                run,
                ..Concurrent::default()
            };
            brick.version.concurrent.entry(label).or_insert(twin);
        }
        let own = brick.dir.take();
        brick.dir = Some(own.map_or_else(|| REAL.to_owned(), |own| format!("{REAL}/{own}")));
    }
    raised
}

/// What can be tried on a system that runs like this.
pub(super) fn plan(quality: Quality, model: &Model, rows: &[Ps], scratch: bool) -> Plan {
    match quality {
        Quality::Disposability => disposability(model, rows, scratch),
        Quality::Replaceability => replaceability(model, rows),
    }
}

fn disposability(model: &Model, rows: &[Ps], scratch: bool) -> Plan {
    let mut plan = Plan::default();
    for row in bricks(model, rows) {
        let slot = row.instance.clone();
        let action = Action::Kill { slot: slot.clone() };
        plan.add(0, format!("kill:{slot}"), Some(&row.brick), action);
    }
    let platform: Vec<String> = PLATFORM
        .iter()
        .filter_map(|name| rows.iter().find(|row| row.brick.as_str() == *name))
        .map(|row| row.instance.clone())
        .collect();
    for slot in &platform {
        let name = slot.split('/').next().unwrap_or(slot);
        plan.add(
            0,
            format!("kill:{name}"),
            None,
            Action::Kill { slot: slot.clone() },
        );
    }
    if scratch {
        plan.add(0, "kill:agent".to_owned(), None, Action::KillAgent);
    }
    let all = names(model, rows);
    let usual = |brick: &BrickName| base(rows, brick).count();
    for brick in &all {
        let usual = u32::try_from(usual(brick)).unwrap_or(u32::MAX);
        let action = Action::Scale {
            brick: brick.clone(),
            usual,
        };
        plan.add(2, format!("scale:{brick}"), Some(brick), action);
    }
    for brick in &all {
        if let Some(row) = base(rows, brick).next() {
            let slot = row.instance.clone();
            plan.add(
                3,
                format!("quarantine:{slot}"),
                Some(brick),
                Action::Quarantine { slot },
            );
        }
        let action = Action::Roll { brick: brick.clone() };
        plan.add(3, format!("roll:{brick}"), Some(brick), action);
    }
    let bricks = all;
    plan.add(1, "repave".to_owned(), None, Action::Repave { bricks, platform });
    plan
}

fn replaceability(model: &Model, rows: &[Ps]) -> Plan {
    let mut plan = Plan::default();
    for brick in names(model, rows) {
        let slots: Vec<&String> = base(rows, &brick).map(|row| &row.instance).collect();
        for slot in slots.iter().filter(|_| slots.len() > 1) {
            let others = slots.iter().filter(|other| *other != slot);
            let action = Action::Alone {
                slot: (*slot).clone(),
                others: others.map(|other| (*other).clone()).collect(),
            };
            plan.add(0, format!("alone:{slot}"), Some(&brick), action);
        }
    }
    let mut zones: Vec<&str> = bricks(model, rows).map(|row| row.zone.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    for zone in zones.iter().filter(|_| zones.len() > 1) {
        let action = Action::Zone {
            zone: (*zone).to_owned(),
        };
        plan.add(1, format!("zone:{zone}"), None, action);
    }
    for name in names(model, rows) {
        let Some(brick) = model.bricks.get(&name) else {
            continue;
        };
        for (label, version) in &brick.version.concurrent {
            let to = BrickRef {
                brick: name.clone(),
                version: Some(label.clone()),
            };
            let (question, kind) = if another_program(brick, version) {
                (2, "implementation")
            } else {
                (3, "swap")
            };
            // A version that a demo brings in is there to be found faulty.
            if model.demos.values().any(|demo| demo.scale.contains_key(&to)) {
                continue;
            }
            let base = u32::try_from(base(rows, &name).count()).unwrap_or(u32::MAX);
            let action = Action::Swap {
                usual: version.replicas,
                base,
                to: to.clone(),
            };
            plan.add(question, format!("{kind}:{to}"), Some(&name), action);
        }
    }
    for (question, why) in [
        "no brick has two instances",
        "all instances are in one zone",
        "no brick has a version that another program implements",
        "no brick has a second version",
    ]
    .into_iter()
    .enumerate()
    {
        if !plan
            .experiments
            .iter()
            .any(|planned| planned.question == question)
        {
            plan.impossible.insert(question, why.to_owned());
        }
    }
    plan
}

impl Plan {
    fn add(&mut self, question: usize, name: String, brick: Option<&BrickName>, action: Action) {
        self.experiments.push(Planned {
            name,
            question,
            brick: brick.cloned(),
            action,
        });
    }

    /// Leaves the experiments of these names, or of these kinds (`kill`); a name that none has is given back.
    pub(super) fn keep(&mut self, only: &[String]) -> Result<(), String> {
        let fits = |planned: &Planned, wanted: &str| {
            planned.name == wanted || planned.name.split(':').next() == Some(wanted)
        };
        let unknown = only
            .iter()
            .find(|wanted| !self.experiments.iter().any(|planned| fits(planned, wanted)));
        if let Some(unknown) = unknown {
            return Err(unknown.clone());
        }
        self.experiments
            .retain(|planned| only.iter().any(|wanted| fits(planned, wanted)));
        Ok(())
    }
}

/// Instances of bricks that are ready.
fn bricks<'r>(model: &'r Model, rows: &'r [Ps]) -> impl Iterator<Item = &'r Ps> {
    rows.iter()
        .filter(|row| model.bricks.contains_key(&row.brick) && row.state == InstanceState::Ready)
}

/// Ready instances of the base of a brick.
fn base<'r>(rows: &'r [Ps], brick: &'r BrickName) -> impl Iterator<Item = &'r Ps> {
    let prefix = format!("{brick}/");
    rows.iter()
        .filter(move |row| row.instance.starts_with(&prefix) && row.state == InstanceState::Ready)
}

/// Bricks that have a ready instance.
fn names(model: &Model, rows: &[Ps]) -> Vec<BrickName> {
    let with = |name: &&BrickName| base(rows, name).next().is_some();
    model.bricks.keys().filter(with).cloned().collect()
}

/// Whether a version is started by another program than the brick's own.
fn another_program(brick: &Brick, version: &Concurrent) -> bool {
    let program = |run: &str| run.split_whitespace().next().unwrap_or_default().to_owned();
    brick
        .run
        .as_deref()
        .is_some_and(|run| program(run) != program(&version.run))
}
