//! A change in two phases: every instance that is connected is asked, then it is decided for all.
//!
//! *Prepare*: the new values are published as `prepare/<brick>`; each instance makes what they would be, holds it, and
//! acknowledges or refuses. Who says nothing for [`PATIENCE`] has refused. *Decide*: one refusal aborts; otherwise the
//! values, the history and the end of the preparation are stored in one commit, and told after it. Where control ends
//! in between, nothing was decided: its next start aborts ([`abort_undecided`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use brick_bus::Prepare;
use brick_core::Incarnation;
use brick_http::Problem;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::history::{self, Difference, Entry, Refused, Told};
use super::layers::{self, Effective, Flat, Live};
use super::repository::{self, layer::Layer};
use super::{LIVE, PREPARE, resource_name};
use crate::audit::{self, By};
use crate::heard::{Heard, PATIENCE, Reach, answers, following, registered};
use crate::service::Handle;
use crate::state::{Action, State};

/// A wish to change a brick's configuration.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) brick: String,
    /// Who wants it.
    pub(crate) by: By,
    pub(crate) what: What,
}

/// What is wanted.
#[derive(Debug)]
pub(crate) enum What {
    /// These live values changed; none takes one back.
    Merge(BTreeMap<String, Option<Value>>),
    /// These live values and no others.
    Replace(Flat),
    /// The values as a change of the history left them.
    Rollback(String),
    /// What the configuration repository says now.
    Repository(Arc<Layer>),
}

/// How a change went.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The brick.
    brick: String,
    /// Id of the change; none where nothing was to be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    /// Revision of the configuration in force.
    revision: u64,
    #[serde(flatten)]
    reach: Reach,
    /// Each instance that follows.
    instances: Vec<Applied>,
    /// Instances that do not follow: they have it after their next start.
    after_restart: Vec<String>,
    /// What changed.
    diff: Vec<Difference>,
}

/// One instance's word.
#[derive(Debug, Serialize, JsonSchema)]
struct Applied {
    #[serde(flatten)]
    heard: Heard,
    /// Keys that do not count there, with the higher layer that has the word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    shadowed: BTreeMap<String, String>,
    /// Changed keys that it does not know, with the nearest that it does: they count for nothing there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unknown: BTreeMap<String, String>,
}

/// A change on its way.
struct Change {
    id: String,
    wish: Wish,
    began: Instant,
    live: Flat,
    repository: Layer,
    proposed: Effective,
    /// The proposed values, decrypted; of what cannot be, what was there before.
    opened: Flat,
    diff: Vec<Difference>,
}

/// Makes the change, or says why it was not made.
pub(crate) async fn run(handle: &Handle, wish: Wish) -> Result<Report, Problem> {
    let began = Instant::now();
    let turn = handle.turns().of(&wish.brick);
    let _turn = turn.lock().await;
    let state = handle.state();
    known(&state, &wish.brick)?;
    let held = layers::live(&state, &wish.brick);
    let live = wanted(&state, &wish, &held)?;
    let current = layers::effective(&state, &wish.brick);
    let old = repository::of(&state, &wish.brick);
    let new = match &wish.what {
        What::Repository(layer) => Layer::clone(layer),
        _ => old.clone(),
    };
    let proposed = layers::with_repository(&state, &wish.brick, &new, &live);
    let diff = history::between(&current, &proposed);
    if !matches!(wish.what, What::Repository(_)) {
        // Only what this change brings stands in its way; other values stay what they were.
        let brought = live
            .iter()
            .filter(|(key, value)| held.values.get(*key) != Some(value));
        if let Some(sealed) = proposed.sealed(&state, &wish.brick, brought.map(|(key, _)| key)) {
            return Err(Problem::unprocessable("cipher_invalid", sealed.to_string()));
        }
    }
    let opened = proposed.opened_or_held(&state, &wish.brick);
    if proposed == current && live == held.values && new == old {
        return Ok(nothing(&state, wish.brick));
    }
    let change = Change {
        id: history::id(),
        wish,
        began,
        live,
        repository: new,
        proposed,
        opened,
        diff,
    };
    let asked = following(handle, &format!("{PREPARE}{}", change.wish.brick)).await?;
    let followers = following(handle, &resource_name(&change.wish.brick)).await?;
    if !asked.is_empty() {
        let refused = prepare(handle, &change, asked).await?;
        if !refused.is_empty() {
            return Err(abort(handle, &change, refused).await);
        }
    }
    commit(handle, change, followers).await
}

/// Whether the manifest has the brick.
pub(crate) fn known(state: &State, brick: &str) -> Result<(), Problem> {
    let mut pooled = state.manifest.iter().flat_map(|model| model.pooled());
    if pooled.any(|(name, _)| name.as_str() == brick) {
        return Ok(());
    }
    let short: String = brick.chars().take(63).collect();
    Err(Problem::not_found(
        "brick_unknown",
        format!("the manifest has no brick \"{short}\""),
    ))
}

/// The live values after the wish.
fn wanted(state: &State, wish: &Wish, held: &Live) -> Result<Flat, Problem> {
    let invalid = |wrong: layers::Wrong| Problem::unprocessable("config_invalid", wrong.to_string());
    let live = match &wish.what {
        What::Replace(values) => values.clone(),
        What::Merge(changes) => {
            let mut live = held.values.clone();
            let before = layers::with(state, &wish.brick, &held.values);
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        let secret = before.secrets.contains(key).then(|| before.flat.get(key));
                        live.insert(key.clone(), of_kind(secret.flatten(), value));
                    }
                    None => live.retain(|held, _| held != key && !held.starts_with(&format!("{key}."))),
                }
            }
            live
        }
        What::Rollback(to) => rollback(state, &wish.brick, to)?,
        What::Repository(_) => held.values.clone(),
    };
    layers::check(&live).map_err(invalid)?;
    Ok(live)
}

/// Who sees `•••` in the place of a secret cannot know that it is a number or a truth value: text that reads as what is
/// held becomes that.
fn of_kind(secret: Option<&Value>, value: &Value) -> Value {
    let (Some(held), Some(text)) = (secret, value.as_str()) else {
        return value.clone();
    };
    match (held, serde_json::from_str(text)) {
        (Value::Number(_), Ok(number @ Value::Number(_))) => number,
        (Value::Bool(_), Ok(truth @ Value::Bool(_))) => truth,
        _ => value.clone(),
    }
}

/// The live values that make the configuration what it was after a change.
fn rollback(state: &State, brick: &str, to: &str) -> Result<Flat, Problem> {
    let all = history::of(state, brick);
    let values = history::find(&all, to).and_then(|entry| entry.values.clone());
    let Some(mut values) = values else {
        let to: String = to.chars().take(40).collect();
        return Err(Problem::not_found(
            "change_unknown",
            format!(
                "the history of {brick} has no applied change \"{to}\"; `brick config history {brick}` lists them"
            ),
        ));
    };
    let base = layers::with(state, brick, &Flat::new());
    values.retain(|key, value| base.flat.get(key) != Some(value) && !layers::is_flag(key));
    Ok(values)
}

fn nothing(state: &State, brick: String) -> Report {
    let resource = state.resources.get(&resource_name(&brick));
    Report {
        revision: resource.map_or(0, |resource| resource.revision),
        brick,
        ..Report::default()
    }
}

/// Asks everybody; who refused, silence included.
async fn prepare(
    handle: &Handle,
    change: &Change,
    asked: BTreeMap<Incarnation, String>,
) -> Result<Vec<Refused>, Problem> {
    let name = format!("{PREPARE}{}", change.wish.brick);
    let patience = SignedDuration::try_from(PATIENCE).unwrap_or_default();
    let prepare = Prepare {
        change: change.id.clone(),
        values: layers::nested(&change.opened),
        origins: change.proposed.origins.clone(),
        secrets: change.proposed.secrets.clone(),
        decide_by: Timestamp::now() + patience,
    };
    let value = serde_json::to_value(&prepare).map_err(|_| Problem::internal())?;
    let state = handle.wish(Action::Set(name.clone(), Some(value))).await?;
    let revision = state.resources.get(&name).map_or(0, |resource| resource.revision);
    let heard = answers(handle, &name, revision, &asked).await;
    let here = registered(&handle.state(), &change.wish.brick);
    let decided = heard.values().any(|told| told.refused.is_some());
    let mut refused = Vec::new();
    for (incarnation, instance) in asked {
        let reason = match heard.get(&incarnation) {
            Some(told) => told.refused.clone(),
            // Who ended meanwhile starts with what is decided.
            None if !here.contains_key(&incarnation) => None,
            // One refusal is enough: whoever had not spoken by then was not waited for.
            None if decided => None,
            None => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        refused.extend(reason.map(|reason| Refused { instance, reason }));
    }
    Ok(refused)
}

/// Takes the proposal back everywhere; the answer to whoever wanted it.
async fn abort(handle: &Handle, change: &Change, refused: Vec<Refused>) -> Problem {
    let each: Vec<String> = refused
        .iter()
        .map(|one| format!("{} refuses: {}", one.instance, one.reason))
        .collect();
    let entry = change.entry("refused", refused, None);
    let mut stored = vec![(format!("{PREPARE}{}", change.wish.brick), None)];
    // The repository says the same again until it says otherwise: once is enough.
    let state = handle.state();
    let all = history::of(&state, &change.wish.brick);
    let again = |last: &Entry| {
        let (last, new) = (&last.told, &entry.told);
        (&last.kind, &last.why, &last.refused) == (&new.kind, &new.why, &new.refused)
    };
    if !matches!(change.wish.what, What::Repository(_)) || !all.last().is_some_and(again) {
        stored.push(history::with(&state, &change.wish.brick, entry));
    }
    if let Err(error) = handle.wish(Action::SetAll(stored)).await {
        return error.into();
    }
    let detail = format!(
        "{}; nothing was changed anywhere ({})",
        each.join("; "),
        change.id
    );
    Problem::conflict("config_refused", detail)
}

/// Stores the decision, tells it, and waits for those who follow.
async fn commit(
    handle: &Handle,
    change: Change,
    mut asked: BTreeMap<Incarnation, String>,
) -> Result<Report, Problem> {
    let brick = change.wish.brick.clone();
    let name = resource_name(&brick);
    let state = handle.state();
    let entry = change.entry("applied", Vec::new(), Some(change.proposed.flat.clone()));
    let live = Live {
        values: change.live.clone(),
        change: Some(change.id.clone()),
    };
    let live = serde_json::to_value(live).map_err(|_| Problem::internal())?;
    let stored = vec![
        (format!("{LIVE}{brick}"), Some(live)),
        history::with(&state, &brick, entry),
        (format!("{PREPARE}{brick}"), None),
        (
            format!("{}{brick}", repository::REPOSITORY),
            said(&change.repository),
        ),
    ];
    // Who ended meanwhile starts with what is decided.
    let here = registered(&state, &brick);
    asked.retain(|incarnation, _| here.contains_key(incarnation));
    let state = handle
        .change(Action::SetAll(stored), change.audited(&name))
        .await?;
    let revision = state.resources.get(&name).map_or(0, |resource| resource.revision);
    let heard = answers(handle, &name, revision, &asked).await;
    let instances: Vec<Applied> = asked
        .iter()
        .map(|(incarnation, instance)| change.applied(*incarnation, instance, heard.get(incarnation)))
        .collect();
    let followers: BTreeSet<Incarnation> = asked.keys().copied().collect();
    let rest = registered(&handle.state(), &brick).into_iter();
    Ok(Report {
        brick,
        change: Some(change.id),
        revision,
        reach: Reach::of(instances.iter().map(|one| &one.heard), change.began),
        instances,
        after_restart: rest
            .filter(|(one, _)| !followers.contains(one))
            .map(|(_, slot)| slot)
            .collect(),
        diff: change.diff,
    })
}

impl Change {
    /// What the audit trail is told; secret values are hidden in the differences.
    fn audited(&self, name: &str) -> audit::Entry {
        let action = format!("config.{}", self.kind());
        let side = |of: fn(&Difference) -> &Option<Value>| -> Value {
            let there = self
                .diff
                .iter()
                .filter_map(|one| Some((one.key.clone(), of(one).clone()?)));
            Value::Object(there.collect())
        };
        let (before, after) = (side(|one| &one.before), side(|one| &one.after));
        self.wish.by.did(&action, name).turning(before, after)
    }

    fn kind(&self) -> &'static str {
        match self.wish.what {
            What::Merge(_) | What::Replace(_) => "set",
            What::Rollback(_) => "rollback",
            What::Repository(_) => "repository",
        }
    }

    fn entry(&self, outcome: &str, refused: Vec<Refused>, values: Option<Flat>) -> Entry {
        Entry {
            told: Told {
                change: self.id.clone(),
                revision: None,
                at: Timestamp::now().to_string(),
                by: self.wish.by.who.clone(),
                kind: self.kind().to_owned(),
                why: self.wish.by.why.clone(),
                outcome: outcome.to_owned(),
                refused,
                diff: self.diff.clone(),
            },
            values,
        }
    }

    fn applied(&self, incarnation: Incarnation, instance: &str, told: Option<&crate::acks::Told>) -> Applied {
        Applied {
            heard: Heard::of(incarnation, instance, told, self.began),
            shadowed: told.map(|told| told.shadowed.clone()).unwrap_or_default(),
            unknown: told.map(|told| self.unknown(told)).unwrap_or_default(),
        }
    }

    /// The keys that this change brings and that an instance does not know.
    fn unknown(&self, told: &crate::acks::Told) -> BTreeMap<String, String> {
        let brought = |key: &String| {
            let brings = |one: &Difference| {
                one.after.is_some() && (one.key == *key || one.key.starts_with(&format!("{key}.")))
            };
            self.diff.iter().any(brings)
        };
        let all = told.unknown.iter().filter(|(key, _)| brought(key));
        all.map(|(key, nearest)| (key.clone(), nearest.clone())).collect()
    }
}

/// What the repository says, as it is stored; none where that is nothing.
fn said(layer: &Layer) -> Option<Value> {
    let says = *layer != Layer::default();
    says.then(|| serde_json::to_value(layer).ok())?
}

/// What was being prepared when control ended was not decided: it is taken back, and its history says so.
pub(crate) fn abort_undecided(state: &mut State) {
    let undecided: Vec<(String, String)> = state
        .settings_below(PREPARE)
        .map(|(brick, held)| {
            let change = held["change"].as_str().unwrap_or_default();
            (brick.to_owned(), change.to_owned())
        })
        .collect();
    for (brick, change) in undecided {
        let told = Told {
            change,
            at: Timestamp::now().to_string(),
            by: "control".to_owned(),
            kind: "set".to_owned(),
            why: Some("control ended before it was decided".to_owned()),
            outcome: "aborted".to_owned(),
            ..Told::default()
        };
        let (name, value) = history::with(state, &brick, Entry { told, values: None });
        state.settings.remove(&format!("{PREPARE}{brick}"));
        state.settings.extend(value.map(|value| (name, value.into())));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_becomes_what_a_secret_is() {
        let check = |secret: Option<Value>, said: Value, becomes: Value| {
            assert_eq!(of_kind(secret.as_ref(), &said), becomes);
        };
        check(Some(json!(7)), json!("12"), json!(12));
        check(Some(json!(true)), json!("false"), json!(false));
        check(Some(json!("7")), json!("12"), json!("12"));
        check(Some(json!(7)), json!("twelve"), json!("twelve"));
        check(Some(json!(7)), json!("true"), json!("true"));
        check(None, json!("12"), json!("12"));
    }
}
