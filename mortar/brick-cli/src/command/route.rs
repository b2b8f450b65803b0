//! `brick route`: which version of a brick requests go to.

use serde_json::{Value, json};

use super::ps::text;
use super::segment;
use crate::agent::{AGAIN_MAX, Admin, Agent};
use crate::cli::{self, RouteSet};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone};

pub(crate) async fn run(agent: &Agent, route: cli::Route, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    match route {
        cli::Route::Ls => {
            let answer: Value = admin.get("/api/pools/v1").await?;
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            if items.is_empty() {
                output.note(
                    "no brick has another version than its base; `brick help manifest` says how it gets one",
                );
            }
            output.rows(&items, || table(&items));
            Ok(())
        }
        cli::Route::Show { brick } => show(&admin, &brick, output).await,
        cli::Route::Set(set) => shares(&admin, set, output).await,
        cli::Route::Header {
            brick,
            header: (name, value),
            version,
        } => {
            let when = json!({ "header": { "name": name, "value": value } });
            rule(&admin, &brick, when, &version, output).await
        }
        cli::Route::Cookie {
            brick,
            cookie: (name, value),
            version,
        } => {
            let when = json!({ "cookie": { "name": name, "value": value } });
            rule(&admin, &brick, when, &version, output).await
        }
        cli::Route::User { brick, user, version } => {
            rule(&admin, &brick, json!({ "user": user }), &version, output).await
        }
        cli::Route::Tenant {
            brick,
            tenant,
            version,
        } => rule(&admin, &brick, json!({ "tenant": tenant }), &version, output).await,
        cli::Route::Mirror { brick, share } => mirror(&admin, &brick, &share, output).await,
        cli::Route::Drop { brick, rule } => drop_rule(&admin, &brick, rule, output).await,
        cli::Route::Reset { brick } => reset(&admin, &brick, output).await,
    }
}

fn path(brick: &str) -> String {
    format!("/api/pools/v1/{}", segment(brick))
}

async fn show(admin: &Admin, brick: &str, output: Output) -> Outcome {
    let view: Value = admin.get(&path(brick)).await?;
    for (at, rule) in view["rules"].as_array().into_iter().flatten().enumerate() {
        output.note(&format!("{}. to {}: {}", at + 1, text(&rule["to"]), rule["when"]));
    }
    if let Some(percent) = view["mirror"]["percent"].as_u64() {
        let version = text(&view["mirror"]["version"]);
        output.note(&format!(
            "{version} gets copies of {percent} % of the requests that change nothing"
        ));
    }
    output.rows(std::slice::from_ref(&view), || table(std::slice::from_ref(&view)));
    Ok(())
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&[
        "brick",
        "version",
        ">share",
        ">ready",
        ">quarantined",
        "sticky",
        ">rules",
    ]);
    for item in items {
        for version in item["versions"].as_array().into_iter().flatten() {
            let share = version["share"].as_f64();
            let rules = item["rules"].as_array().map_or(0, |rules| {
                rules
                    .iter()
                    .filter(|rule| rule["to"] == version["version"])
                    .count()
            });
            table.row(vec![
                (text(&item["brick"]), Tone::Plain),
                (text(&version["version"]), Tone::Plain),
                (
                    share.map_or_else(|| "any".to_owned(), |share| format!("{share} %")),
                    Tone::Plain,
                ),
                (text(&version["ready"]), Tone::Plain),
                (text(&version["quarantined"]), Tone::Dim),
                (item["sticky"].as_str().unwrap_or("–").to_owned(), Tone::Dim),
                (rules.to_string(), Tone::Dim),
            ]);
        }
    }
    table
}

/// What is wanted now.
fn wanted(view: &Value) -> Value {
    json!({ "rules": view["rules"], "weights": view["weights"], "sticky": view["sticky"], "mirror": view["mirror"] })
}

/// Changes what is wanted in this alone, over whatever others want by then.
async fn change(admin: &Admin, brick: &str, mut edit: impl FnMut(&mut Value) -> Outcome) -> Outcome<Value> {
    let path = path(brick);
    for _ in 0..AGAIN_MAX {
        let held: Value = admin.get(&path).await?;
        let mut wanted = wanted(&held);
        edit(&mut wanted)?;
        if admin.replace(&path, &text(&held["tag"]), Some(&wanted)).await? {
            return admin.get(&path).await;
        }
    }
    let message = format!("the versions of {brick} change all the time; nothing was changed");
    Err(Failure::failed(message).hint("see who changes them, then say it again"))
}

async fn shares(admin: &Admin, set: RouteSet, output: Output) -> Outcome {
    let brick = set.brick;
    let weights = set.shares.iter();
    let weights = weights.map(|(version, share)| (version.clone(), json!(share)));
    let weights = Value::Object(weights.collect());
    let edit = |wanted: &mut Value| -> Outcome {
        wanted["weights"] = weights.clone();
        match set.sticky.as_deref() {
            Some("none") => wanted["sticky"] = Value::Null,
            Some(key) => wanted["sticky"] = key.into(),
            // A share that sticks to nothing would show one user both versions.
            None if wanted["sticky"].is_null() => wanted["sticky"] = "user".into(),
            None => {}
        }
        Ok(())
    };
    let held: Value = admin.get(&path(&brick)).await?;
    let mut wanted = wanted(&held);
    edit(&mut wanted)?;
    let moved: Value = admin.post(&format!("{}/preview", path(&brick)), &wanted).await?;
    let percent = moved["moved"].as_f64().unwrap_or(0.0) / 100.0;
    if set.dry_run {
        output.value(&moved, || {
            format!("{brick}: {percent} % of the keys would change their version")
        });
        return Ok(());
    }
    let view = change(admin, &brick, edit).await?;
    output.value(&view, || {
        let versions = view["versions"].as_array().into_iter().flatten();
        let shares = versions.map(|version| format!("{} {} %", text(&version["version"]), version["share"]));
        let shares: Vec<String> = shares.collect();
        format!(
            "{brick}: {}; {percent} % of the keys changed their version",
            shares.join(", ")
        )
    });
    Ok(())
}

async fn rule(admin: &Admin, brick: &str, when: Value, version: &str, output: Output) -> Outcome {
    let add = |wanted: &mut Value| -> Outcome {
        if let Some(rules) = wanted["rules"].as_array_mut() {
            rules.retain(|rule| rule["when"] != when);
            rules.push(json!({ "when": when, "to": version }));
        }
        Ok(())
    };
    let view = change(admin, brick, add).await?;
    output.value(&view, || {
        format!("{brick}: {when} leads to {version}; `brick route reset {brick}` takes it back")
    });
    Ok(())
}

async fn mirror(admin: &Admin, brick: &str, (version, percent): &(String, u32), output: Output) -> Outcome {
    let copies = match percent {
        0 => Value::Null,
        percent => json!({ "version": version, "percent": percent }),
    };
    let give = |wanted: &mut Value| -> Outcome {
        wanted["mirror"] = copies.clone();
        Ok(())
    };
    let view = change(admin, brick, give).await?;
    output.value(&view, || match percent {
        0 => format!("{brick}: no copies of requests go anywhere"),
        percent => format!(
            "{brick}: {version} gets copies of {percent} % of the requests that change nothing; `brick route mirror {brick} {version}=0` ends that"
        ),
    });
    Ok(())
}

/// Takes back what is wanted now, unless somebody wants something else meanwhile.
async fn reset(admin: &Admin, brick: &str, output: Output) -> Outcome {
    let held: Value = admin.get(&path(brick)).await?;
    if !admin.replace(&path(brick), &text(&held["tag"]), None).await? {
        let message = format!("the versions of {brick} were changed meanwhile; nothing was taken back");
        return Err(
            Failure::failed(message).hint(format!("`brick route show {brick}` says what is wanted now"))
        );
    }
    output.value(&json!({ "reset": brick }), || {
        format!("{brick}: requests go to any instance")
    });
    Ok(())
}

async fn drop_rule(admin: &Admin, brick: &str, rule: u32, output: Output) -> Outcome {
    let at = rule as usize - 1;
    let mut gone = Value::Null;
    let take_back = |wanted: &mut Value| -> Outcome {
        let rules = wanted["rules"].as_array_mut().filter(|rules| at < rules.len());
        let Some(rules) = rules else {
            let message = format!("{brick} has no rule {rule}");
            return Err(Failure::failed(message).hint(format!("`brick route show {brick}` numbers them")));
        };
        let dropped = rules.remove(at);
        // A number names another rule once the rules have changed.
        if !gone.is_null() && gone != dropped {
            let message = format!("the rules of {brick} were changed meanwhile; nothing was taken back");
            return Err(Failure::failed(message).hint(format!("`brick route show {brick}` numbers them")));
        }
        gone = dropped;
        Ok(())
    };
    let view = change(admin, brick, take_back).await?;
    output.value(&view, || {
        format!("{brick}: {} leads to {} no more", gone["when"], text(&gone["to"]))
    });
    Ok(())
}
