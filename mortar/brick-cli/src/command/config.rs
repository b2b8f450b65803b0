//! `brick config`: what counts, changes while the system runs, what was changed, and the way back.

use serde_json::{Map, Value, json};

use super::applied;
use super::ps::text;
use crate::agent::{Admin, Agent, query};
use crate::cli::{self, Assignment, Key, Volume};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone};

pub(crate) async fn run(agent: &Agent, config: cli::Config, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    match config {
        cli::Config::Get { what } => get(&admin, &what, output).await,
        cli::Config::Set { values } => set(&admin, &values, output).await,
        cli::Config::Unset { keys } => unset(&admin, &keys, output).await,
        cli::Config::History { brick } => history(&admin, &brick, output).await,
        cli::Config::Diff { brick, from, to } => {
            let path = format!("{}/diff{}", path(&brick), query(&[("from", from), ("to", to)]));
            let answer: Value = admin.get(&path).await?;
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            if items.is_empty() {
                output.note("nothing differs");
            }
            output.rows(&items, || differences(&items));
            Ok(())
        }
        cli::Config::Rollback(back) => {
            let body = json!({ "to": back.to });
            let answer: Value = admin
                .post(&format!("{}/rollback", path(&back.brick)), &body)
                .await?;
            report(&answer, output);
            Ok(())
        }
        cli::Config::Repository { refresh } => {
            const PATH: &str = "/api/config-repository/v1";
            let answer: Value = match refresh {
                true => admin.post(&format!("{PATH}/refresh"), &json!({})).await?,
                false => admin.get(PATH).await?,
            };
            output.value(&answer, || found(&answer).join("\n"));
            Ok(())
        }
        cli::Config::Encrypt { value } => {
            let body = json!({ "key": value.key.key, "value": typed(&Value::Null, &value.value) });
            let answer: Value = admin
                .post(&format!("{}/encrypt", path(&value.key.brick)), &body)
                .await?;
            output.value(&answer, || text(&answer["value"]));
            Ok(())
        }
        cli::Config::Log {
            volume,
            duration,
            reset,
        } => {
            let answer = log(&admin, &volume, duration.map(|lasts| lasts.0.as_secs()), reset).await?;
            output.value(&answer, || levels(&answer));
            Ok(())
        }
    }
}

fn path(brick: &str) -> String {
    format!("/api/config/v1/{}", super::segment(brick))
}

async fn get(admin: &Admin, what: &str, output: Output) -> Outcome {
    let (brick, key) = what
        .split_once('.')
        .map_or((what, None), |(brick, key)| (brick, Some(key)));
    let answer: Value = admin.get(&path(brick)).await?;
    if let Some(problem) = answer["problem"].as_str() {
        output.note(&format!("old values stay: {problem}"));
    }
    let mut rows = Vec::new();
    for (name, origin) in answer["origins"].as_object().into_iter().flatten() {
        let wanted = key.is_none_or(|key| name == key || name.starts_with(&format!("{key}.")));
        if wanted {
            rows.push(json!({ "key": name, "value": at(&answer["values"], name), "origin": origin }));
        }
    }
    if let (Some(key), true) = (key, rows.is_empty()) {
        let message =
            format!("nobody says anything of {brick}.{key}: the default in the code of {brick} counts");
        return Err(Failure::failed(message).hint(format!("`brick config get {brick}` lists what is said")));
    }
    output.rows(&rows, || {
        let mut table = Table::new(&["key", "value", "origin"]);
        for row in &rows {
            let tone = if row["origin"] == "live" {
                Tone::Warn
            } else {
                Tone::Dim
            };
            table.row(vec![
                (text(&row["key"]), Tone::Plain),
                (text(&row["value"]), Tone::Plain),
                (text(&row["origin"]), tone),
            ]);
        }
        table
    });
    Ok(())
}

/// The value of a dotted key.
fn at<'v>(values: &'v Value, key: &str) -> &'v Value {
    let found = key.split('.').try_fold(values, |value, part| value.get(part));
    found.unwrap_or(&Value::Null)
}

/// A change is of one brick.
fn one<'k>(keys: impl Iterator<Item = &'k Key>) -> Outcome<&'k str> {
    let mut bricks: Vec<&str> = keys.map(|key| key.brick.as_str()).collect();
    bricks.dedup();
    match bricks[..] {
        [brick] => Ok(brick),
        _ => Err(Failure::usage(format!(
            "expected values of one brick, found {}",
            bricks.join(" and ")
        ))
        .hint("a change is taken by all instances of one brick, or by none: make one change for each brick")),
    }
}

async fn set(admin: &Admin, values: &[Assignment], output: Output) -> Outcome {
    let brick = one(values.iter().map(|one| &one.key))?;
    let held: Value = admin.get(&path(brick)).await?;
    let mut changes = Map::new();
    for Assignment { key, value } in values {
        changes.insert(key.key.clone(), typed(at(&held["values"], &key.key), value));
    }
    change(admin, brick, changes, output).await
}

/// What is text stays text; else a number, truth value, list or table is what it looks like.
fn typed(held: &Value, value: &str) -> Value {
    let plain = || Value::from(value);
    match held {
        Value::String(_) => plain(),
        _ => serde_json::from_str(value).unwrap_or_else(|_| plain()),
    }
}

async fn unset(admin: &Admin, keys: &[Key], output: Output) -> Outcome {
    let brick = one(keys.iter())?;
    let changes = keys.iter().map(|key| (key.key.clone(), Value::Null)).collect();
    change(admin, brick, changes, output).await
}

async fn change(admin: &Admin, brick: &str, values: Map<String, Value>, output: Output) -> Outcome {
    let body = json!({ "values": values });
    let answer: Value = admin.patch(&path(brick), &body).await?;
    report(&answer, output);
    Ok(())
}

/// What a change led to, in a line, and what to know besides.
fn report(answer: &Value, output: Output) {
    output.value(answer, || told(answer).join("\n"));
}

/// How the repository was found.
fn found(answer: &Value) -> Vec<String> {
    let (url, label) = (text(&answer["url"]), text(&answer["label"]));
    let mut lines = vec![match answer["subject"].as_str() {
        Some(subject) => format!("{url}, {label}: {subject}"),
        None => format!("{url}, {label}: not read yet"),
    }];
    if let Some(problem) = answer["problem"].as_str() {
        lines.push(format!("old values stay: {problem}"));
    }
    for (brick, why) in answer["refused"].as_object().into_iter().flatten() {
        lines.push(format!("old values of {brick} stay: {}", text(why)));
    }
    for key in answer["left_out"].as_array().into_iter().flatten() {
        lines.push(format!("no brick can have the key {}", text(key)));
    }
    lines
}

fn told(answer: &Value) -> Vec<String> {
    let brick = text(&answer["brick"]);
    if answer["change"].is_null() {
        return vec![format!("{brick} has these values already; nothing was changed")];
    }
    let change = text(&answer["change"]);
    let mut lines = vec![match applied::reach(answer) {
        Some(reach) => format!("{reach} ({change})"),
        None => format!("{brick} is changed; no instance of it follows ({change})"),
    }];
    for one in answer["instances"].as_array().into_iter().flatten() {
        let instance = text(&one["instance"]);
        lines.extend(applied::missing(one));
        for (key, nearest) in one["unknown"].as_object().into_iter().flatten() {
            let meant = match text(nearest) {
                nearest if nearest.is_empty() => String::new(),
                nearest => format!(" (did you mean {nearest}?)"),
            };
            lines.push(format!("{instance} knows no {key}{meant}"));
        }
        for (key, by) in one["shadowed"].as_object().into_iter().flatten() {
            lines.push(format!("{instance} goes on with {key} of its {}", text(by)));
        }
    }
    let later: Vec<String> = answer["after_restart"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    if !later.is_empty() {
        lines.push(format!(
            "after restart: {} (`brick roll {brick}`)",
            later.join(", ")
        ));
    }
    lines
}

async fn history(admin: &Admin, brick: &str, output: Output) -> Outcome {
    let answer: Value = admin.get(&format!("{}/history", path(brick))).await?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    output.rows(&items, || {
        let mut table = Table::new(&["change", ">revision", "at", "by", "what", "how it ended"]);
        for item in &items {
            let refused = item["refused"].as_array().into_iter().flatten();
            let refused = refused.map(|one| format!("{}: {}", text(&one["instance"]), text(&one["reason"])));
            let mut ended = vec![text(&item["outcome"])];
            ended.extend(refused);
            let tone = if item["outcome"] == "applied" {
                Tone::Good
            } else {
                Tone::Bad
            };
            table.row(vec![
                (text(&item["change"]), Tone::Plain),
                (text(&item["revision"]), Tone::Plain),
                (text(&item["at"]).chars().take(19).collect(), Tone::Dim),
                (text(&item["by"]), Tone::Plain),
                (what(item), Tone::Plain),
                (ended.join("; "), tone),
            ]);
        }
        table
    });
    Ok(())
}

/// What a change was, in words.
fn what(item: &Value) -> String {
    let mut words: Vec<String> = item["diff"]
        .as_array()
        .into_iter()
        .flatten()
        .take(3)
        .map(|one| {
            format!(
                "{} {} → {}",
                text(&one["key"]),
                side(&one["before"]),
                side(&one["after"])
            )
        })
        .collect();
    let more = item["diff"].as_array().map_or(0, Vec::len).saturating_sub(3);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    if item["kind"] != "set" {
        words.insert(0, text(&item["kind"]));
    }
    words.extend(item["why"].as_str().map(|why| format!("({why})")));
    words.join(", ")
}

fn side(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        value => text(value),
    }
}

fn differences(items: &[Value]) -> Table {
    let mut table = Table::new(&["key", "before", "after"]);
    for item in items {
        table.row(vec![
            (text(&item["key"]), Tone::Plain),
            (side(&item["before"]), Tone::Dim),
            (side(&item["after"]), Tone::Plain),
        ]);
    }
    table
}

async fn log(admin: &Admin, volume: &Volume, for_s: Option<u64>, reset: bool) -> Outcome<Value> {
    let path = format!("{}/log", path(&volume.brick));
    match &volume.level {
        Some(_) if reset => Err(Failure::usage("--reset takes a level back: name no other")),
        Some(level) => {
            let body = json!({ "level": level, "instance": volume.instance, "for_s": for_s });
            admin.put(&path, &body).await
        }
        None if reset => {
            let query = query(&[("instance", volume.instance.clone())]);
            admin.delete(&format!("{path}{query}")).await?;
            admin.get(&path).await
        }
        None => admin.get(&path).await,
    }
}

fn levels(answer: &Value) -> String {
    let one = |name: &str, level: &Value| {
        let until = match level["until"].as_str() {
            Some(until) => format!("until {}", until.chars().take(19).collect::<String>()),
            None => format!("until `brick config log {name} --reset`"),
        };
        format!("{name} writes {}, {until}", text(&level["level"]))
    };
    let brick = text(&answer["brick"]);
    let mut lines = Vec::new();
    if answer["all"].is_object() {
        lines.push(one(&brick, &answer["all"]));
    }
    for (slot, level) in answer["instances"].as_object().into_iter().flatten() {
        lines.push(one(slot, level));
    }
    if lines.is_empty() {
        lines.push(format!("{brick} writes the lines that it was started with"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_the_rest_is_what_it_looks_like() {
        assert_eq!(typed(&json!("EUR"), "12"), json!("12"));
        assert_eq!(typed(&json!(3), "12"), json!(12));
        assert_eq!(typed(&Value::Null, "true"), json!(true));
        assert_eq!(typed(&Value::Null, "CHF"), json!("CHF"));
        assert_eq!(typed(&json!([]), "[\"a\"]"), json!(["a"]));
    }

    #[test]
    fn a_change_is_told_with_its_times_and_what_to_know_besides() {
        let answer = json!({
            "brick": "order", "change": "a1b2c3d", "revision": 7, "applied": 2, "of": 2, "ms": 41, "spread_ms": 6,
            "instances": [
                { "instance": "order/1", "applied": true, "unknown": { "max_line": "max_lines", "x": "" } },
                { "instance": "order/2", "applied": true, "shadowed": { "max_lines": "environment variable MAX_LINES" } },
            ],
            "after_restart": ["order@v2/1"],
        });
        assert_eq!(
            told(&answer),
            [
                "applied by 2/2 in 41 ms, spread 6 ms (a1b2c3d)",
                "order/1 knows no max_line (did you mean max_lines?)",
                "order/1 knows no x",
                "order/2 goes on with max_lines of its environment variable MAX_LINES",
                "after restart: order@v2/1 (`brick roll order`)",
            ]
        );
    }
}
