//! Feature flags: what counts, and what an operator wants otherwise.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::State;
use brick_flags::{Definition, State as Evaluated};
use brick_http::{Json, Path, Problem};
use futures_util::future::join_all;
use http::header::{ETAG, HeaderName, IF_MATCH};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::limits::action;
use crate::audit::By;
use crate::flags::{self, FLAGS, Known, Said};
use crate::heard::{Heard, Reach, answers, following, following_here};
use crate::service::Handle;
use crate::state::{State as Held, tag};

/// A flag.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FlagView {
    /// Its key.
    key: String,
    /// What counts, in flagd's words.
    #[serde(flatten)]
    counts: Definition,
    /// What each variant gets in percent, where targeting is nothing but a split by targeting key.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<BTreeMap<String, f64>>,
    /// Bricks that see it; absent where all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    bricks: Option<Vec<String>>,
    /// Where it comes from: `manifest`, `repository FILE@REVISION`, `live`.
    origin: String,
    /// What counts without the live override.
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<BelowView>,
    /// Entity tag of the override, as the field `ETag` has it.
    tag: String,
}

/// A flag that was overridden, and who has applied it. Bricks that do not evaluate flags themselves have it after their
/// next start.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FlagSet {
    #[serde(flatten)]
    flag: FlagView,
    #[serde(flatten)]
    reach: Reach,
    /// Each instance that evaluates the flag.
    instances: Vec<Heard>,
}

/// What stands below an override.
#[derive(Debug, Serialize, JsonSchema)]
struct BelowView {
    /// Where it comes from.
    origin: String,
    /// In flagd's words.
    #[serde(flatten)]
    definition: Definition,
}

/// Every flag.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FlagList {
    items: Vec<FlagView>,
    /// Why the flags of the configuration repository are not those of its newest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What is wanted otherwise; what is left out stays as it counts now.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FlagBody {
    /// Whether it is evaluated.
    #[serde(default)]
    state: Option<Evaluated>,
    /// All its variants.
    #[serde(default)]
    variants: Option<Map<String, Value>>,
    /// The variant that counts unless targeting names another. Alone it takes targeting away.
    #[serde(default)]
    default_variant: Option<String>,
    /// Who gets which variant; null for nobody another than the default.
    #[serde(default, deserialize_with = "said")]
    targeting: Option<Value>,
    /// In the place of targeting: parts of each variant.
    #[serde(default)]
    shares: Option<BTreeMap<String, u32>>,
}

/// A value that is there, null included.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

type Named = Result<Path<String>, Problem>;
type Shown = ([(HeaderName, String); 1], Json<FlagView>);

pub(crate) async fn list(State(handle): State<Handle>) -> Json<FlagList> {
    let state = handle.state();
    let all = flags::all(&state).into_iter();
    Json(FlagList {
        items: all.map(|(key, known)| view(&state, key, known)).collect(),
        problem: handle.repository().flags_problem(),
    })
}

pub(crate) async fn show(State(handle): State<Handle>, path: Named) -> Result<Shown, Problem> {
    let Path(key) = path?;
    shown(&handle.state(), &key)
}

pub(crate) async fn set(
    State(handle): State<Handle>,
    by: By,
    path: Named,
    headers: HeaderMap,
    body: Result<Json<FlagBody>, Problem>,
) -> Result<([(HeaderName, String); 1], Json<FlagSet>), Problem> {
    let (Path(key), Json(body)) = (path?, body?);
    let began = Instant::now();
    let state = handle.state();
    let counted = known(&state, &key)?.counts.definition;
    let wanted = body
        .over(counted.clone())
        .map_err(|why| Problem::unprocessable("flag_invalid", why))?;
    if let Err(error) = brick_flags::Flag::compile(&key, &wanted) {
        return Err(Problem::unprocessable("flag_invalid", error.to_string()));
    }
    let name = format!("{FLAGS}{key}");
    let (before, after) = (value(&counted)?, value(&wanted)?);
    let entry = by.did("flags.set", &*name).turning(before, after.clone());
    let told = handle.change(action(name, Some(after), &headers)?, entry).await?;
    let instances = heard(&handle, &told, &key, began).await;
    let flag = view(&told, key.clone(), known(&told, &key)?);
    let set = FlagSet {
        reach: Reach::of(instances.iter(), began),
        instances,
        flag,
    };
    Ok(([(ETAG, set.flag.tag.clone())], Json(set)))
}

/// What instances say of the flags that they are told of, where the flag is among these.
async fn heard(handle: &Handle, state: &Held, key: &str, began: Instant) -> Vec<Heard> {
    let named = state.resources.range(FLAGS.to_owned()..);
    let named = named.take_while(|(name, _)| name.starts_with(FLAGS));
    let seen = named.filter(|(_, resource)| !resource.value["flags"][key].is_null());
    let asked = seen.map(|(name, resource)| async move {
        // A flag is a switch for an emergency: who stands by and says nothing keeps nobody from it.
        let asked = match following(handle, name).await {
            Ok(asked) => asked,
            Err(_) => following_here(handle, name),
        };
        let said = answers(handle, name, resource.revision, &asked).await;
        let each = asked.into_iter();
        let each = each.map(|(one, instance)| Heard::of(one, &instance, said.get(&one), began));
        each.collect::<Vec<_>>()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

pub(crate) async fn reset(
    State(handle): State<Handle>,
    by: By,
    path: Named,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let Path(key) = path?;
    let state = handle.state();
    let known = known(&state, &key)?;
    let name = format!("{FLAGS}{key}");
    let Some(before) = flags::overridden(&state, &key) else {
        // Nothing is taken back, but what was read may be no more.
        if headers.contains_key(IF_MATCH) {
            handle.wish(action(name, None, &headers)?).await?;
        }
        return Ok(StatusCode::NO_CONTENT);
    };
    let after = known
        .below
        .as_ref()
        .map(|below| value(&below.definition))
        .transpose()?;
    let entry = by
        .did("flags.reset", &*name)
        .turning(value(&before)?, after.unwrap_or_default());
    handle.change(action(name, None, &headers)?, entry).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl FlagBody {
    /// The definition with what is wanted in the place of what is there.
    fn over(self, mut counted: Definition) -> Result<Definition, String> {
        if self.targeting.is_some() && self.shares.is_some() {
            return Err("shares: expected targeting or shares, found both".to_owned());
        }
        let alone = self.targeting.is_none() && self.shares.is_none();
        if alone && self.state.is_none() && self.variants.is_none() && self.default_variant.is_none() {
            return Err(
                "expected state, variants, defaultVariant, targeting or shares, found none".to_owned(),
            );
        }
        if let Some(state) = self.state {
            counted.state = state;
        }
        if let Some(variants) = self.variants {
            counted.variants = variants;
        }
        if let Some(variant) = self.default_variant {
            counted.default_variant = variant;
            if alone {
                counted.targeting = None;
            }
        }
        if let Some(targeting) = self.targeting {
            counted.targeting = Some(targeting).filter(|targeting| !targeting.is_null());
        }
        if let Some(shares) = self.shares {
            let all: u64 = shares.values().map(|parts| u64::from(*parts)).sum();
            if all == 0 || all > i32::MAX as u64 {
                return Err(format!(
                    "shares: expected parts of 1 to {} together, found {all}",
                    i32::MAX
                ));
            }
            counted.targeting = Some(split(&shares));
        }
        Ok(counted)
    }
}

/// A split of one variant needs a second arm: targeting with a single one is no split.
fn split(shares: &BTreeMap<String, u32>) -> Value {
    match shares.first_key_value() {
        Some((only, _)) if shares.len() == 1 => Definition::split([(only, &1), (only, &0)]),
        _ => Definition::split(shares),
    }
}

fn value(definition: &Definition) -> Result<Value, Problem> {
    serde_json::to_value(definition).map_err(|_| Problem::internal())
}

fn known(state: &Held, key: &str) -> Result<Known, Problem> {
    flags::of(state, key).ok_or_else(|| {
        let short: String = key.chars().take(60).collect();
        let hint = format!(
            "there is no flag \"{short}\": neither [flag.NAME] of the manifest nor flags.json of the configuration repository names it"
        );
        Problem::not_found("flag_unknown", hint)
    })
}

fn shown(state: &Held, key: &str) -> Result<Shown, Problem> {
    let view = view(state, key.to_owned(), known(state, key)?);
    Ok(([(ETAG, view.tag.clone())], Json(view)))
}

fn view(state: &Held, key: String, known: Known) -> FlagView {
    let Said { definition, origin } = known.counts;
    let held = state.settings.get(&format!("{FLAGS}{key}"));
    FlagView {
        shares: definition.shares(),
        counts: definition,
        bricks: known.bricks,
        origin,
        below: known.below.map(|below| BelowView {
            origin: below.origin,
            definition: below.definition,
        }),
        tag: tag(held.map(|held| &**held)),
        key,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over(body: Value) -> Result<Definition, String> {
        let mut counted = Definition::boolean(false);
        counted.targeting = Some(json!({ "if": [true, "on"] }));
        let body: FlagBody = serde_json::from_value(body).map_err(|error| error.to_string())?;
        body.over(counted)
    }

    #[test]
    fn what_is_left_out_stays_and_a_default_alone_is_for_everybody() {
        let on = over(json!({ "defaultVariant": "on" })).unwrap();
        assert_eq!((on.default_variant.as_str(), on.targeting), ("on", None));
        let disabled = over(json!({ "state": "DISABLED" })).unwrap();
        assert_eq!(disabled.state, Evaluated::Disabled);
        assert!(disabled.is_targeted());
        assert_eq!(over(json!({ "targeting": null })).unwrap().targeting, None);
        let split = over(json!({ "shares": { "on": 10, "off": 90 }, "defaultVariant": "on" })).unwrap();
        assert_eq!(split.shares().unwrap()["on"], 10.0);
        let all = over(json!({ "shares": { "on": 100 } })).unwrap();
        assert_eq!(all.shares().unwrap()["on"], 100.0);
        for wrong in [
            json!({}),
            json!({ "shares": { "on": 1 }, "targeting": null }),
            json!({ "shares": { "on": 0 } }),
            json!({ "mood": 1 }),
        ] {
            assert!(over(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
