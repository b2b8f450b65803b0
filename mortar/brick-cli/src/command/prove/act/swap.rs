//! All traffic of a brick goes to another version of it, and back.

use brick_core::BrickRef;
use serde_json::{Value, json};

use super::{Done, Lab, Stop, hold, scale};
use crate::command::segment;

/// Starts as many instances of the version as the base has, gives it everything, then nothing, and ends them again.
pub(super) async fn there_and_back(
    lab: &Lab<'_>,
    to: &BrickRef,
    usual: u32,
    base: u32,
    done: &mut Done,
) -> Result<(), Stop> {
    let Some(label) = to.version.as_ref().map(ToString::to_string) else {
        return Err(Stop::Unanswered(format!("{to} names no version")));
    };
    let path = format!("/api/pools/v1/{}", segment(to.brick.as_str()));
    let before: Value = lab.system.admin().await?.get(&path).await?;
    let swapped = async {
        // Nothing goes to the version before all of it is there.
        share(lab, &path, to, &label, 0, done).await?;
        scale(lab, &to.to_string(), base.max(1), done).await?;
        share(lab, &path, to, &label, 100, done).await?;
        let there = hold(lab).await;
        only(&there, to, true, done)?;
        share(lab, &path, to, &label, 0, done).await?;
        let back = hold(lab).await;
        only(&back, to, false, done)
    };
    let swapped = swapped.await;
    if swapped.is_err() {
        // Whatever went wrong, the base takes the requests before the version goes.
        share(lab, &path, to, &label, 0, done).await?;
    }
    let ended = scale(lab, &to.to_string(), usual, done).await;
    restore(lab, &path, to, &before, done).await?;
    swapped.and(ended)
}

async fn share(
    lab: &Lab<'_>,
    path: &str,
    to: &BrickRef,
    label: &str,
    percent: u32,
    done: &mut Done,
) -> Result<(), Stop> {
    done.commands.push(format!(
        "brick route set {} {label}={percent} --sticky none",
        to.brick
    ));
    let wanted = json!({ "rules": [], "weights": { label: percent }, "sticky": null });
    lab.system.admin().await?.put::<Value>(path, &wanted).await?;
    Ok(())
}

/// The shares and rules that were there before; none where there were none.
async fn restore(
    lab: &Lab<'_>,
    path: &str,
    to: &BrickRef,
    before: &Value,
    done: &mut Done,
) -> Result<(), Stop> {
    let admin = lab.system.admin().await?;
    let empty = |key: &str| match &before[key] {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        other => other.is_null(),
    };
    if ["rules", "weights", "sticky", "mirror"].into_iter().all(empty) {
        done.commands.push(format!("brick route reset {}", to.brick));
        admin.delete(path).await?;
    } else {
        let wanted = json!({ "rules": before["rules"], "weights": before["weights"],
            "sticky": before["sticky"], "mirror": before["mirror"] });
        admin.put::<Value>(path, &wanted).await?;
    }
    Ok(())
}

/// Whether the version alone, or the rest of the brick alone, served.
fn only(
    (served, rounds): &(std::collections::BTreeMap<String, usize>, usize),
    to: &BrickRef,
    version: bool,
    done: &mut Done,
) -> Result<(), Stop> {
    let of = |slot: &str| slot.rsplit_once('/').map(|(of, _)| of.to_owned());
    let sum = |wanted: &str| -> usize {
        let own = served
            .iter()
            .filter(|(slot, _)| of(slot).as_deref() == Some(wanted));
        own.map(|(_, count)| count).sum()
    };
    let (theirs, base) = (sum(&to.to_string()), sum(to.brick.as_str()));
    let (wanted, other, name) = if version {
        (theirs, base, to.to_string())
    } else {
        (base, theirs, to.brick.to_string())
    };
    if wanted == 0 {
        return Err(Stop::Unanswered(format!(
            "no request of the load was seen at {name}"
        )));
    }
    if other > 0 {
        let told = format!(
            "{other} of {} requests went elsewhere than to {name}",
            wanted + other
        );
        return Err(Stop::Fails(told));
    }
    done.seen.push(format!(
        "{name} served all {wanted} requests of {rounds} rounds of the load"
    ));
    Ok(())
}
