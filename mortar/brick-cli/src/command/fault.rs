//! `brick fault`: what goes wrong on purpose.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::ps::text;
use crate::agent::{Admin, Agent};
use crate::cli::{self, Place};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone, count};

pub(crate) async fn run(agent: &Agent, fault: cli::Fault, output: Output) -> Outcome {
    match fault {
        cli::Fault::Ls => list(&agent.admin().await?, output).await,
        cli::Fault::Set(set) => {
            let rule = rule(&set, Timestamp::now())?;
            let admin = agent.admin().await?;
            let body = json!({ "rules": [rule] });
            let answer: Value = admin.put(&path(&set.place), &body).await?;
            output.value(&answer, || {
                let edge = text(&answer["edge"]);
                format!(
                    "{edge}: {} for {}; `brick fault clear \"{edge}\"` ends it",
                    describe(&answer["rules"][0]),
                    set.duration
                )
            });
            Ok(())
        }
        cli::Fault::Clear { place: Some(place) } => {
            agent.admin().await?.delete(&path(&place)).await?;
            let name = name(&place);
            output.value(&json!({ "cleared": [name] }), || {
                format!("{name}: nothing goes wrong on purpose")
            });
            Ok(())
        }
        cli::Fault::Clear { place: None } => clear_all(&agent.admin().await?, output).await,
    }
}

async fn faults(admin: &Admin) -> Outcome<Vec<Value>> {
    let answer: Value = admin.get("/api/faults/v1").await?;
    Ok(answer["items"].as_array().cloned().unwrap_or_default())
}

async fn list(admin: &Admin, output: Output) -> Outcome {
    let items = faults(admin).await?;
    if items.is_empty() {
        output.note("nothing goes wrong on purpose");
    }
    output.rows(&items, || {
        let mut table = Table::new(&["edge", "fault", "calls", "until"]);
        for item in &items {
            for rule in item["rules"].as_array().into_iter().flatten() {
                table.row(vec![
                    (text(&item["edge"]), Tone::Plain),
                    (describe(rule), Tone::Warn),
                    (whom(rule), Tone::Plain),
                    (text(&rule["until"]), Tone::Dim),
                ]);
            }
        }
        table
    });
    Ok(())
}

async fn clear_all(admin: &Admin, output: Output) -> Outcome {
    let items = faults(admin).await?;
    let mut cleared = Vec::new();
    for item in &items {
        let edge = text(&item["edge"]);
        let Ok(place) = edge.parse() else { continue };
        admin.delete(&path(&place)).await?;
        cleared.push(edge);
    }
    output.value(&json!({ "cleared": cleared }), || {
        format!("{} cleared", count(cleared.len(), "fault"))
    });
    Ok(())
}

fn path(place: &Place) -> String {
    match place {
        Place::Edge(link) => super::edge_path("faults", link),
        Place::Route(name) => format!("/api/faults/v1/routes/{}", super::segment(name)),
    }
}

fn name(place: &Place) -> String {
    match place {
        Place::Edge(link) => link.to_string(),
        Place::Route(name) => format!("route->{name}"),
    }
}

/// The rule as control takes it. What a value may be is said by control; that something is to go wrong, here.
fn rule(set: &cli::FaultSet, now: Timestamp) -> Outcome<Value> {
    let mut rule = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            rule.insert(key.to_owned(), value);
        }
    };
    let ms = set
        .delay
        .map(|delay| u64::try_from(delay.0.as_millis()).unwrap_or(u64::MAX));
    put("delay_ms", ms.map(Into::into));
    put("abort", set.abort.map(Into::into));
    put("reset", set.reset.then(|| true.into()));
    put("bytes_per_second", set.bytes_per_second.map(Into::into));
    if rule.is_empty() {
        let message = "nothing is to go wrong: expected --delay, --abort, --reset or --bytes-per-second";
        return Err(Failure::usage(message).hint("`brick help fault set` explains them"));
    }
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            rule.insert(key.to_owned(), value);
        }
    };
    put("share", set.share.map(Into::into));
    let header = set.header.as_ref();
    put(
        "header",
        header.map(|(name, value)| json!({ "name": name, "value": value })),
    );
    let lasts = SignedDuration::try_from(set.duration.0).unwrap_or(SignedDuration::MAX);
    let until = now.checked_add(lasts);
    let until = until
        .map_err(|_| Failure::usage(format!("expected --for of at most 24h, found {}", set.duration)))?;
    put("until", Some(until.to_string().into()));
    Ok(Value::Object(rule))
}

/// What goes wrong, in words.
fn describe(rule: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(ms) = rule["delay_ms"].as_u64() {
        parts.push(format!("{ms} ms later"));
    }
    if let Some(status) = rule["abort"].as_u64() {
        parts.push(format!("answered with {status}"));
    }
    if rule["reset"] == true {
        parts.push("connection reset".to_owned());
    }
    if let Some(bytes) = rule["bytes_per_second"].as_u64() {
        parts.push(format!("at most {bytes} bytes/s"));
    }
    parts.join(", ")
}

/// Which calls, in words.
fn whom(rule: &Value) -> String {
    let share = rule["share"].as_f64().filter(|share| *share < 1.0);
    let share = share.map_or_else(
        || "all".to_owned(),
        |share| format!("{:.4} %", share * 100.0).replace(".0000", ""),
    );
    let header = &rule["header"];
    match header["name"].as_str() {
        Some(name) => format!("{share} with {name}: {}", text(&header["value"])),
        None => share,
    }
}

#[cfg(test)]
mod tests {
    use brick_core::duration::Span;

    use super::*;

    fn set(text: &[&str]) -> cli::FaultSet {
        use clap::Parser as _;
        let words = [&["brick", "fault", "set", "a->b"], text].concat();
        match cli::Cli::parse_from(words).command {
            cli::Command::Fault(cli::Fault::Set(set)) => set,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_says_what_goes_wrong_for_whom_and_until_when() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let read = |words: &[&str]| rule(&set(words), now).ok();
        assert_eq!(
            read(&["--delay", "300ms", "--share", "0.2", "--for", "5m"]),
            Some(json!({ "delay_ms": 300, "share": 0.2, "until": "2026-01-01T00:05:00Z" }))
        );
        let rule = read(&["--abort", "503", "--header", "x-chaos: yes"]).expect("a rule");
        assert_eq!(
            (describe(&rule).as_str(), whom(&rule).as_str()),
            ("answered with 503", "all with x-chaos: yes")
        );
        assert_eq!(read(&["--share", "0.5"]), None);
        assert_eq!(
            set(&["--reset"]).duration,
            Span(std::time::Duration::from_secs(600))
        );
    }
}
