//! `brick flag`: feature flags, what counts and what is wanted otherwise.

use serde_json::{Map, Value, json};

use super::applied;
use super::ps::text;
use super::segment;
use crate::agent::{Admin, Agent};
use crate::cli::{self, FlagGet, FlagSet};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone};

/// How often an override is tried anew where somebody else was quicker.
const TRIES: usize = 3;

pub(crate) async fn run(agent: &Agent, flag: cli::Flag, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    match flag {
        cli::Flag::List => {
            let answer: Value = admin.get("/api/flags/v1").await?;
            if let Some(problem) = answer["problem"].as_str() {
                output.note(&format!("older flags of the repository stay: {problem}"));
            }
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            if items.is_empty() {
                output.note("there are no flags; `brick help manifest` says how one is made");
            }
            output.rows(&items, || table(&items));
            Ok(())
        }
        cli::Flag::Get(get) => show(&admin, get, output).await,
        cli::Flag::Set(set) => change(&admin, set, output).await,
        cli::Flag::Reset { key } => reset(&admin, &key, output).await,
    }
}

fn path(key: &str) -> String {
    format!("/api/flags/v1/{}", segment(key))
}

async fn show(admin: &Admin, get: FlagGet, output: Output) -> Outcome {
    if get.targeting_key.is_none() && get.with.is_empty() {
        let flag: Value = admin.get(&path(&get.key)).await?;
        output.value(&flag, || lines(&flag).join("\n"));
        return Ok(());
    }
    let known = get.with.into_iter();
    let mut context: Map<String, Value> = known.map(|(name, value)| (name, guessed(&value))).collect();
    if let Some(key) = get.targeting_key {
        context.insert("targetingKey".to_owned(), key.into());
    }
    let asked = format!("/ofrep/v1/evaluate/flags/{}", segment(&get.key));
    // A flag that is not there is told better by its own API.
    let _: Value = admin.get(&path(&get.key)).await?;
    let found: Value = admin.post(&asked, &json!({ "context": context })).await?;
    output.value(&found, || {
        let why = match found["reason"].as_str() {
            Some("TARGETING_MATCH") => "targeting says so",
            Some("DEFAULT") => "targeting says nothing, the default counts",
            _ => "everybody gets it",
        };
        format!("{} = {} ({why})", text(&found["variant"]), found["value"])
    });
    Ok(())
}

/// What is asked for is a number or a truth value where it looks like one.
fn guessed(value: &str) -> Value {
    match serde_json::from_str::<Value>(value) {
        Ok(found) if found.is_number() || found.is_boolean() => found,
        _ => Value::from(value),
    }
}

async fn change(admin: &Admin, set: FlagSet, output: Output) -> Outcome {
    for _ in 0..TRIES {
        let held: Value = admin.get(&path(&set.key)).await?;
        let body = wanted(&set, &held)?;
        let (path, tag) = (path(&set.key), text(&held["tag"]));
        if let Some(flag) = admin.replaced(&path, &tag, Some(&body)).await? {
            output.value(&flag, || reached(&flag).join("\n"));
            return Ok(());
        }
    }
    Err(contended(&set.key))
}

/// Takes the override back that is there now, unless somebody changes it meanwhile.
async fn reset(admin: &Admin, key: &str, output: Output) -> Outcome {
    let held: Value = admin.get(&path(key)).await?;
    if !admin.replace(&path(key), &text(&held["tag"]), None).await? {
        return Err(contended(key));
    }
    let flag: Value = admin.get(&path(key)).await?;
    output.value(&flag, || told(&flag));
    Ok(())
}

fn contended(key: &str) -> Failure {
    Failure::failed(format!("{key} is being changed by somebody else")).hint("look at it and try again")
}

/// What counts now, and who has applied it.
fn reached(flag: &Value) -> Vec<String> {
    let mut lines = vec![told(flag)];
    lines.push(match applied::reach(flag) {
        Some(reach) => reach,
        None => {
            "no running instance evaluates it; what runs without the SDK reads it when it starts".to_owned()
        }
    });
    let each = flag["instances"].as_array().into_iter().flatten();
    lines.extend(each.filter_map(applied::missing));
    lines
}

/// The override that is asked for.
fn wanted(set: &FlagSet, held: &Value) -> Outcome<Value> {
    let mut body = json!({});
    if set.enable || set.disable {
        body["state"] = if set.enable { "ENABLED" } else { "DISABLED" }.into();
    }
    match set.variants.as_slice() {
        [] if set.enable || set.disable => {}
        [(variant, None)] => {
            body["defaultVariant"] = variant.as_str().into();
            body["targeting"] = Value::Null;
        }
        shares if !shares.is_empty() => body["shares"] = split(shares, &text(&held["defaultVariant"]))?,
        _ => {
            return Err(
                Failure::usage("expected a variant, VARIANT=PERCENT, --disable or --enable")
                    .hint(format!("`brick flag get {}` lists its variants", set.key)),
            );
        }
    }
    Ok(body)
}

/// Shares of 100; the default variant has what is left.
fn split(shares: &[(String, Option<u32>)], default: &str) -> Outcome<Value> {
    let mut all = Map::new();
    let mut sum = 0;
    for (variant, percent) in shares {
        let Some(percent) = percent else {
            return Err(Failure::usage(format!(
                "{variant}: expected its share, such as {variant}=10"
            )));
        };
        sum += percent;
        all.insert(variant.clone(), json!(percent));
    }
    if sum > 100 || (sum < 100 && all.contains_key(default)) {
        return Err(Failure::usage(format!(
            "expected shares of 100 % together, found {sum} %"
        )));
    }
    if sum < 100 {
        all.insert(default.to_owned(), json!(100 - sum));
    }
    Ok(Value::Object(all))
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&["flag", "state", "who gets what", "bricks", "origin"]);
    for flag in items {
        let (state, tone) = match flag["state"] == "ENABLED" {
            true => ("enabled", Tone::Good),
            false => ("disabled", Tone::Warn),
        };
        let origin = match flag["origin"] == "live" {
            true => Tone::Warn,
            false => Tone::Dim,
        };
        table.row(vec![
            (text(&flag["key"]), Tone::Plain),
            (state.to_owned(), tone),
            (who(flag), Tone::Plain),
            (bricks(flag), Tone::Dim),
            (text(&flag["origin"]), origin),
        ]);
    }
    table
}

fn bricks(flag: &Value) -> String {
    match flag["bricks"].as_array() {
        Some(bricks) if bricks.is_empty() => "none".to_owned(),
        Some(bricks) => bricks.iter().map(text).collect::<Vec<_>>().join(", "),
        None => "all".to_owned(),
    }
}

/// Who gets which variant, in a few words.
fn who(flag: &Value) -> String {
    let default = text(&flag["defaultVariant"]);
    let targeted = flag["targeting"].as_object().is_some_and(|rule| !rule.is_empty());
    match flag["shares"].as_object() {
        Some(shares) => {
            let each = shares
                .iter()
                .map(|(variant, share)| format!("{variant} {} %", share.as_f64().unwrap_or_default()));
            each.collect::<Vec<_>>().join(", ")
        }
        None if targeted => format!("by targeting, else {default}"),
        None => default,
    }
}

fn told(flag: &Value) -> String {
    let state = match flag["state"] == "ENABLED" {
        true => who(flag),
        false => "disabled, the default in code counts".to_owned(),
    };
    format!("{}: {state} ({})", text(&flag["key"]), text(&flag["origin"]))
}

fn lines(flag: &Value) -> Vec<String> {
    let mut lines = vec![told(flag), format!("bricks that see it: {}", bricks(flag))];
    for (variant, value) in flag["variants"].as_object().into_iter().flatten() {
        let is_default = match flag["defaultVariant"] == *variant {
            true => ", the default",
            false => "",
        };
        lines.push(format!("{variant} = {value}{is_default}"));
    }
    if !flag["targeting"].is_null() {
        lines.push(format!("targeting: {}", flag["targeting"]));
    }
    if flag["below"].is_object() {
        let below = &flag["below"];
        lines.push(format!(
            "without the override: {} ({})",
            who(below),
            text(&below["origin"])
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(variants: &[(&str, Option<u32>)]) -> FlagSet {
        FlagSet {
            key: "express".to_owned(),
            variants: variants
                .iter()
                .map(|(name, share)| ((*name).to_owned(), *share))
                .collect(),
            disable: false,
            enable: false,
        }
    }

    #[test]
    fn the_default_variant_has_what_is_left() {
        let held = json!({ "defaultVariant": "off" });
        let of = |variants: &[(&str, Option<u32>)]| wanted(&set(variants), &held).map_err(drop);
        assert_eq!(
            of(&[("on", None)]),
            Ok(json!({ "defaultVariant": "on", "targeting": null }))
        );
        assert_eq!(
            of(&[("on", Some(10))]),
            Ok(json!({ "shares": { "on": 10, "off": 90 } }))
        );
        assert_eq!(of(&[("on", Some(100))]), Ok(json!({ "shares": { "on": 100 } })));
        assert_eq!(
            of(&[("on", Some(30)), ("off", Some(70))]),
            Ok(json!({ "shares": { "on": 30, "off": 70 } }))
        );
        for wrong in [
            &[("on", Some(60)), ("off", Some(60))][..],
            &[("off", Some(60))],
            &[("on", None), ("off", None)],
            &[],
        ] {
            assert_eq!(of(wrong), Err(()), "{wrong:?}");
        }
        let disabled = FlagSet {
            disable: true,
            ..set(&[])
        };
        assert_eq!(
            wanted(&disabled, &held).map_err(drop),
            Ok(json!({ "state": "DISABLED" }))
        );
    }

    #[test]
    fn a_flag_is_told_with_what_stands_below_it() {
        let flag = json!({
            "key": "express", "state": "ENABLED", "variants": { "off": false, "on": true }, "defaultVariant": "off",
            "targeting": { "fractional": [["on", 10], ["off", 90]] }, "shares": { "off": 90.0, "on": 10.0 },
            "bricks": ["order"], "origin": "live",
            "below": { "origin": "manifest", "state": "ENABLED", "defaultVariant": "off" },
        });
        assert_eq!(
            lines(&flag),
            [
                "express: off 90 %, on 10 % (live)",
                "bricks that see it: order",
                "off = false, the default",
                "on = true",
                "targeting: {\"fractional\":[[\"on\",10],[\"off\",90]]}",
                "without the override: off (manifest)",
            ]
        );
    }
}
