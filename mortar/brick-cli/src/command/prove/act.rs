//! The disturbances themselves: what is done to the system, under load, and what of it is seen at once.

mod swap;

use std::collections::BTreeMap;
use std::time::Duration;

use brick_core::BrickName;
use jiff::Timestamp;
use mortar_agent::api::{Changes, InstanceState, Ps, Rolled};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::Action;
use super::served::{Served, TOLD_WITHIN};
use super::system::{CHANGE_MAX, RECOVERY_MAX, System, gone};
use super::traffic::{Cut, Traffic};
use crate::command::segment;
use crate::failure::Failure;

/// How long a state that is to be seen under load is held.
const HOLD: Duration = Duration::from_millis(1_500);
/// How long callers may take to follow a change that control has told them of.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(1);
/// How long a zone stays lost.
const ZONE_LOST: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// What an action meets.
pub(super) struct Lab<'l> {
    pub(super) system: &'l System,
    pub(super) traffic: &'l Traffic,
    pub(super) served: &'l Served,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The same by hand.
    pub(super) commands: Vec<String>,
    /// Processes that were taken away.
    pub(super) cuts: Vec<Cut>,
    /// Instances that have to have another process than this one.
    pub(super) replaced: Vec<(String, u32)>,
    /// What was seen.
    pub(super) seen: Vec<String>,
}

/// Why an action came to no end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The system did not do what it should.
    Fails(String),
    /// It cannot be told.
    Unanswered(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Unanswered(failure.to_string())
    }
}

pub(super) async fn act(lab: &Lab<'_>, action: &Action, done: &mut Done) -> Result<(), Stop> {
    match action {
        Action::Kill { slot } => kill(lab, slot, "KILL", done).await,
        Action::KillAgent => agent(lab, done).await,
        Action::Repave { bricks, platform } => repave(lab, bricks, platform, done).await,
        Action::Scale { brick, usual } => scale_and_back(lab, brick, *usual, done).await,
        Action::Quarantine { slot } => quarantine(lab, slot, done).await,
        Action::Roll { brick } => roll(lab, brick, done).await,
        Action::Alone { slot, others } => alone(lab, slot, others, done).await,
        Action::Zone { zone } => zone_lost(lab, zone, done).await,
        Action::Swap { to, usual, base } => swap::there_and_back(lab, to, *usual, *base, done).await,
    }
}

async fn kill(lab: &Lab<'_>, slot: &str, signal: &str, done: &mut Done) -> Result<(), Stop> {
    let by = if signal == "KILL" {
        String::new()
    } else {
        format!(" --signal {signal}")
    };
    done.commands.push(format!("brick kill {slot}{by}"));
    let (pid, gone) = lab.system.kill(slot, signal).await?;
    let edge = slot.starts_with("gateway/");
    done.cuts.push(Cut { gone, edge });
    done.seen.push(format!("{slot}, process {pid}, is gone"));
    done.replaced.push((slot.to_owned(), pid));
    Ok(())
}

async fn agent(lab: &Lab<'_>, done: &mut Done) -> Result<(), Stop> {
    let before = pids(&lab.system.rows().await?);
    done.commands
        .push("kill -KILL AGENT; brick up --detach --no-build".to_owned());
    let gone = lab.system.replace_agent().await?;
    done.cuts.push(Cut { gone, edge: false });
    let after = pids(&lab.system.rows().await?);
    if before != after {
        return Err(Stop::Fails(
            "the new agent did not adopt every process that ran".to_owned(),
        ));
    }
    done.seen
        .push(format!("the new agent adopted all {} processes", after.len()));
    Ok(())
}

fn pids(rows: &[Ps]) -> Vec<(String, Option<u32>)> {
    rows.iter().map(|row| (row.instance.clone(), row.pid)).collect()
}

async fn roll(lab: &Lab<'_>, brick: &BrickName, done: &mut Done) -> Result<(), Stop> {
    let prefix = format!("{brick}/");
    for row in lab.system.rows().await? {
        if let Some(pid) = row.pid.filter(|_| row.instance.starts_with(&prefix)) {
            done.replaced.push((row.instance, pid));
        }
    }
    done.commands.push(format!("brick roll {brick} --no-build"));
    let body = json!({ "brick": brick, "no_build": true });
    let rolled = lab
        .system
        .agent
        .post::<Rolled>("/v1/roll", &body, CHANGE_MAX)
        .await;
    let rolled = rolled.map_err(|failure| Stop::Fails(failure.to_string()))?;
    done.seen.push(format!("replaced {}", rolled.replaced.join(", ")));
    Ok(())
}

/// Bricks first, then the platform, each process only when the one before has its successor.
async fn repave(
    lab: &Lab<'_>,
    bricks: &[BrickName],
    platform: &[String],
    done: &mut Done,
) -> Result<(), Stop> {
    for brick in bricks {
        roll(lab, brick, done).await?;
    }
    for slot in platform {
        kill(lab, slot, "TERM", done).await?;
        lab.system.whole(&done.replaced).await.map_err(Stop::Fails)?;
    }
    // A process that was asked to end may take nothing with it: only what is killed is excused.
    done.cuts.clear();
    if lab.system.is_scratch() {
        agent(lab, done).await?;
    }
    Ok(())
}

async fn scale(lab: &Lab<'_>, of: &str, replicas: u32, done: &mut Done) -> Result<(), Stop> {
    done.commands.push(format!("brick scale {of}={replicas}"));
    let body = json!({ "brick": of, "replicas": replicas });
    lab.system
        .agent
        .post::<Changes>("/v1/scale", &body, CHANGE_MAX)
        .await?;
    let prefix = format!("{of}/");
    let wanted = replicas as usize;
    let deadline = Instant::now() + RECOVERY_MAX;
    loop {
        let rows = lab.system.rows().await?;
        let own = || rows.iter().filter(|row| row.instance.starts_with(&prefix));
        if let Some(left_out) = own().find(|row| row.state == InstanceState::Skipped) {
            let why = left_out.problem.clone().unwrap_or_default();
            return Err(Stop::Unanswered(format!("{of} cannot run here: {why}")));
        }
        let here: Vec<&Ps> = own().filter(|row| row.state != InstanceState::Stopped).collect();
        if here.len() == wanted && here.iter().all(|row| row.state == InstanceState::Ready) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let told = format!(
                "{of} has not {replicas} ready instances after {} s",
                RECOVERY_MAX.as_secs()
            );
            return Err(Stop::Fails(told));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn scale_and_back(lab: &Lab<'_>, brick: &BrickName, usual: u32, done: &mut Done) -> Result<(), Stop> {
    let from = Timestamp::now();
    let slot = format!("{brick}/{}", usual + 1);
    let rows = lab.system.rows().await?;
    let mut elastic = rows
        .iter()
        .filter(|row| row.brick == *brick)
        .filter_map(|row| row.elastic.as_ref());
    let follows = elastic.any(|elastic| !elastic.by_hand);
    let there = async {
        scale(lab, brick.as_str(), usual + 1, done).await?;
        serves(lab, &slot, from, done).await
    };
    let there = there.await;
    let mut back = scale(lab, brick.as_str(), usual, done).await;
    if follows {
        // Its number followed the requests before, and does so again.
        done.commands.push(format!("brick scale {brick}=auto"));
        let body = json!({ "brick": brick, "replicas": null });
        let given = lab
            .system
            .agent
            .post::<Changes>("/v1/scale", &body, CHANGE_MAX)
            .await;
        back = back.and(given.map(drop).map_err(Stop::from));
    }
    there.and(back)
}

/// Waits until an instance is told to have served since then.
async fn serves(lab: &Lab<'_>, slot: &str, since: Timestamp, done: &mut Done) -> Result<(), Stop> {
    let deadline = Instant::now() + RECOVERY_MAX / 3;
    loop {
        let served = lab.served.between(since, Timestamp::MAX);
        if let Some(count) = served.get(slot) {
            done.seen.push(format!("{slot} serves: {count} requests so far"));
            return Ok(());
        }
        if Instant::now() > deadline {
            let told = format!("no request of the load was seen at {slot}");
            return Err(Stop::Unanswered(told));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Sets or releases; answers when callers were told, and have had their time to follow.
async fn set_quarantine(lab: &Lab<'_>, slot: &str, on: bool, done: &mut Done) -> Result<(), Stop> {
    let path = format!("/api/registry/v1/instances/{}/quarantine", segment(slot));
    let admin = lab.system.admin().await?;
    if on {
        done.commands.push(format!("brick quarantine {slot}"));
        admin
            .post::<Value>(&path, &json!({ "reason": "brick prove" }))
            .await?;
    } else {
        done.commands.push(format!("brick quarantine --release {slot}"));
        admin.delete(&path).await?;
    }
    Ok(())
}

/// What was served in a time of its own, in which the system is as it is now.
async fn hold(lab: &Lab<'_>) -> (BTreeMap<String, usize>, usize) {
    tokio::time::sleep(FOLLOWED_WITHIN).await;
    let (from, begin) = (Timestamp::now(), Instant::now());
    tokio::time::sleep(HOLD).await;
    let (to, rounds) = (Timestamp::now(), lab.traffic.rounds_since(begin));
    tokio::time::sleep(TOLD_WITHIN).await;
    (lab.served.between(from, to), rounds)
}

async fn quarantine(lab: &Lab<'_>, slot: &str, done: &mut Done) -> Result<(), Stop> {
    let row = lab.system.row(slot).await;
    let pid = row.and_then(|row| row.pid);
    set_quarantine(lab, slot, true, done).await?;
    let (served, rounds) = hold(lab).await;
    let row = lab.system.row(slot).await;
    if row.and_then(|row| row.pid) != pid {
        set_quarantine(lab, slot, false, done).await?;
        return Err(Stop::Fails(format!("{slot} did not run on in quarantine")));
    }
    if let Some(count) = served.get(slot) {
        set_quarantine(lab, slot, false, done).await?;
        let late = FOLLOWED_WITHIN.as_secs();
        return Err(Stop::Fails(format!(
            "{slot} got {count} requests {late} s after it left its pool"
        )));
    }
    done.seen.push(format!(
        "{slot} ran on and got no request while {rounds} rounds of the load ended"
    ));
    let since = Timestamp::now();
    kill(lab, slot, "KILL", done).await?;
    lab.system.whole(&done.replaced).await.map_err(Stop::Fails)?;
    serves(lab, slot, since, done).await
}

async fn alone(lab: &Lab<'_>, slot: &str, others: &[String], done: &mut Done) -> Result<(), Stop> {
    let held = async {
        for other in others {
            set_quarantine(lab, other, true, done).await?;
        }
        let (served, rounds) = hold(lab).await;
        if let Some((other, count)) = others.iter().find_map(|other| Some((other, served.get(other)?))) {
            return Err(Stop::Fails(format!(
                "{other} got {count} requests out of its pool"
            )));
        }
        let Some(count) = served.get(slot) else {
            return Err(Stop::Unanswered(format!(
                "no request of the load was seen at {slot}"
            )));
        };
        done.seen.push(format!(
            "{slot} alone served {count} requests of {rounds} rounds of the load"
        ));
        Ok(())
    };
    let held = held.await;
    for other in others {
        set_quarantine(lab, other, false, done).await?;
    }
    held
}

/// Kills every instance of the zone in one moment, and whatever comes up there again until the zone counts as back.
async fn zone_lost(lab: &Lab<'_>, zone: &str, done: &mut Done) -> Result<(), Stop> {
    let model = &lab.system.model;
    let in_zone = |row: &Ps| row.zone == zone && model.bricks.contains_key(&row.brick);
    let rows = lab.system.rows().await?;
    let lost: Vec<String> = rows
        .iter()
        .filter(|row| in_zone(row))
        .map(|row| row.instance.clone())
        .collect();
    done.commands.push(format!(
        "for each instance of zone {zone}: brick kill INSTANCE, for {} s",
        ZONE_LOST.as_secs()
    ));
    let until = Instant::now() + ZONE_LOST;
    let mut deaths = 0_usize;
    let mut last = BTreeMap::new();
    while Instant::now() < until {
        let rows = lab.system.rows().await.unwrap_or_default();
        let mut killed = Vec::new();
        for row in rows.iter().filter(|row| in_zone(row) && row.pid.is_some()) {
            // It may have ended, or not be there again yet.
            if let Ok(pid) = lab.system.signal(&row.instance, "KILL").await {
                killed.push((row.instance.clone(), pid));
            }
        }
        for (slot, pid) in killed {
            let gone = gone(pid).await?;
            deaths += 1;
            done.cuts.push(Cut { gone, edge: false });
            last.insert(slot, pid);
        }
        tokio::time::sleep(POLL).await;
    }
    if last.len() < lost.len() {
        return Err(Stop::Unanswered(format!(
            "only {} of {} could be killed",
            last.len(),
            lost.len()
        )));
    }
    done.seen
        .push(format!("{} died {deaths} times in all", lost.join(", ")));
    done.replaced.extend(last);
    Ok(())
}
