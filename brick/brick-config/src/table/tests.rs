//! Rows of the table count, live, on either engine; wrong ones are refused as a whole.

use brick_bus::{Change, Publisher, Resource, Watch, watch};
use brick_core::drain;
use brick_state::Options;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{Config, Origin, Sources};

#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    max_lines: u32,
    currency: String,
    limits: Limits,
}

#[derive(Debug, Serialize, Deserialize)]
struct Limits {
    strict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_lines: 20,
            currency: "EUR".to_owned(),
            limits: Limits { strict: false },
        }
    }
}

fn load(watch: &Watch, args: &[&str]) -> Config<Settings> {
    let sources = Sources {
        env: vec![("MAX_LINES".to_owned(), "30".to_owned())],
        injected: vec!["MAX_LINES".to_owned()],
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        brick: "order".to_owned(),
        ..Sources::default()
    };
    let check = |settings: &Settings| match settings.max_lines {
        0..=100 => Ok(()),
        _ => Err("expected at most 100 lines".to_owned()),
    };
    Config::load_checked(sources, Some(watch.clone()), check).unwrap()
}

async fn set(db: &Database, key: &'static str, value: &'static str) {
    let sql = "insert into brick_config (key, value) values ($1, $2)
               on conflict (key) do update set value = excluded.value";
    let written = db.write(move |tx| {
        tx.execute(sql, &[key.into(), value.into()])?;
        tx.notify(CHANNEL, "")
    });
    written.await.unwrap();
}

fn origin(config: &Config<Settings>, key: &str) -> String {
    let all = config.origins();
    let found = all.into_iter().find(|setting| setting.key == key);
    found.unwrap().origin.to_string()
}

fn say(publisher: &mut Publisher, revision: u64, value: serde_json::Value) {
    let name = "config/order".to_owned();
    publisher.apply(
        Change::Put(Resource {
            name,
            revision,
            value,
        }),
        None,
    );
}

async fn check(url: String) {
    let db = Database::open(Options::new(url, &[])).await.unwrap();
    let (mut publisher, watch) = watch::channel();
    publisher.apply(Change::Snapshot(Vec::new()), None);
    let live = Live::new(watch.clone(), "order");
    let mut early = load(&watch, &[]);
    live.join(&early);
    drop(Table::open(&db, &live).await.unwrap());
    assert_eq!(early.get().max_lines, 30);
    set(&db, "max_lines", "40").await;
    set(&db, "limits.strict", "true").await;

    let table = Table::open(&db, &live).await.unwrap();
    assert_eq!(
        (early.get().max_lines, early.get().limits.strict),
        (40, true),
        "read at the start"
    );
    assert_eq!(origin(&early, "max_lines"), "database");
    assert!(Origin::Database > Origin::Manifest && Origin::Database < Origin::Bus { revision: 1 });
    let late = load(&watch, &["--max-lines=3"]);
    live.join(&late);
    assert_eq!(
        (late.get().max_lines, late.get().limits.strict),
        (3, true),
        "arguments are above"
    );

    let (stop, drain) = drain::channel();
    let (one, two) = (live.clone(), drain.clone());
    let following = tokio::spawn(async move { one.follow(two).await });
    let reading = tokio::spawn(table.follow(drain));
    early.changed().await;
    set(&db, "max_lines", "50").await;
    while early.get().max_lines != 50 {
        early.changed().await;
    }

    // One row that does not fit, and no other is taken.
    set(&db, "max_lines", "500").await;
    set(&db, "currency", "CHF").await;
    say(&mut publisher, 7, json!({ "currency": "USD" }));
    while early.get().currency != "USD" {
        early.changed().await;
    }
    assert_eq!(early.get().max_lines, 50, "the old values stay");
    set(&db, "max_lines", "60").await;
    while early.get().max_lines != 60 {
        early.changed().await;
    }
    assert_eq!(early.get().currency, "USD", "a live change is above");
    assert_eq!(origin(&early, "currency"), "live change, revision 7");
    stop.drain();
    reading.await.unwrap();
    following.await.unwrap().unwrap();
}

#[tokio::test]
async fn rows_of_the_table_count_live_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    check(format!("sqlite:{}", folder.path().join("order.db").display())).await;
}

#[tokio::test]
async fn rows_of_the_table_count_live_in_postgresql() {
    check(private_postgres::database()).await;
}
