//! Durability, isolation of failures, sharing of a file, migrations, parameters, spans.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use brick_telemetry::{LogTarget, Telemetry};
use tokio::sync::oneshot;

use super::*;
use crate::{Constraint, Param};

const SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "items",
    sql: "create table item (id integer primary key, name text unique, price integer check (price >= 0))",
}];

const LATER: &[Migration] = &[
    SCHEMA[0],
    Migration {
        version: 2,
        name: "colour",
        sql: "alter table item add column colour text not null default 'red'",
    },
];

const CHANGED: &[Migration] = &[Migration {
    version: 1,
    name: "items",
    sql: "create table item (id integer primary key)",
}];

fn url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("state/shop.db").display())
}

async fn open(folder: &Path) -> Database {
    Database::open(Options::new(url(folder), SCHEMA)).await.unwrap()
}

async fn insert(db: &Database, id: i64) -> Result<u64, Error> {
    db.write(move |tx| tx.execute("insert into item (id) values ($1)", &[id.into()]))
        .await
}

async fn ids(db: &Database) -> Vec<i64> {
    db.read(|r| r.query("select id from item order by id", &[], |row| row.get(0)))
        .await
        .unwrap()
}

/// Holds the writing thread inside a closure until released, so that a group can gather behind it.
async fn hold(db: &Database) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), Error>>) {
    let (release, released) = oneshot::channel();
    let (running, runs) = oneshot::channel();
    let db = db.clone();
    let held = tokio::spawn(async move {
        db.write(move |_| {
            let _ = running.send(());
            let _ = released.blocking_recv();
            Ok(())
        })
        .await
    });
    runs.await.unwrap();
    (release, held)
}

async fn queued(db: &Database, wanted: usize) {
    while db.stats().queued < wanted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_writers_share_commits_and_all_their_rows_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let (release, held) = hold(&db).await;
    let writers: Vec<_> = (0..64)
        .map(|id| {
            let db = db.clone();
            tokio::spawn(async move { insert(&db, id).await })
        })
        .collect();
    queued(&db, 64).await;
    let before = db.stats();
    release.send(()).unwrap();
    held.await.unwrap().unwrap();
    for writer in writers {
        assert_eq!(writer.await.unwrap().unwrap(), 1);
    }
    let after = db.stats();
    assert_eq!(after.writes - before.writes, 65);
    assert!(after.commits - before.commits <= 2, "{after:?}");

    // What a kill -9 leaves: the files as they are, with nothing closed.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("state")).unwrap();
    for entry in std::fs::read_dir(folder.path().join("state")).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), copy.path().join("state").join(entry.file_name())).unwrap();
        }
    }
    assert_eq!(ids(&open(copy.path()).await).await, (0..64).collect::<Vec<i64>>());
}

#[tokio::test]
async fn an_error_or_a_panic_undoes_its_own_closure_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let (release, held) = hold(&db).await;
    let one = insert(&db, 1);
    let fails = db.write(|tx| {
        tx.execute("insert into item (id) values (2)", &[])?;
        Err::<(), _>(Error::rollback("out of stock"))
    });
    let panics = db.write(|tx| {
        tx.execute("insert into item (id) values (3)", &[])?;
        if tx.query_one("select 1", &[], |_| Ok(()))?.is_some() {
            panic!("on purpose");
        }
        Ok(())
    });
    let four = insert(&db, 4);
    let all = async { tokio::join!(one, fails, panics, four) };
    let ((one, fails, panics, four), ()) = tokio::join!(all, async {
        queued(&db, 4).await;
        release.send(()).unwrap();
    });
    held.await.unwrap().unwrap();
    assert_eq!((one.unwrap(), four.unwrap()), (1, 1));
    assert_eq!(fails.unwrap_err().to_string(), "rolled back: out of stock");
    assert!(matches!(panics, Err(Error::Panicked)));
    assert_eq!(ids(&db).await, [1, 4]);
    assert_eq!(db.stats().undone, 2);
}

#[tokio::test]
async fn a_closure_that_ends_the_transaction_fails_those_before_it_and_not_those_after() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let (release, held) = hold(&db).await;
    let all = async {
        tokio::join!(
            insert(&db, 1),
            db.write(|tx| tx.execute("rollback", &[])),
            insert(&db, 2)
        )
    };
    let ((before, ends, after), ()) = tokio::join!(all, async {
        queued(&db, 3).await;
        release.send(()).unwrap();
    });
    held.await.unwrap().unwrap();
    assert!(before.is_err() && ends.is_err());
    after.unwrap();
    assert_eq!(ids(&db).await, [2]);
}

#[tokio::test]
async fn a_caller_that_went_away_has_its_closure_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let (release, held) = hold(&db).await;
    let ran = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ran);
    let caller = tokio::spawn({
        let db = db.clone();
        async move {
            db.write(move |_| {
                flag.store(true, Ordering::Relaxed);
                Ok(())
            })
            .await
        }
    });
    queued(&db, 1).await;
    caller.abort();
    let _ = caller.await;
    release.send(()).unwrap();
    held.await.unwrap().unwrap();
    insert(&db, 1).await.unwrap();
    assert!(!ran.load(Ordering::Relaxed));
}

#[tokio::test]
async fn two_processes_may_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = tokio::join!(open(folder.path()), open(folder.path()));
    for id in 0..50 {
        let (first, second) = tokio::join!(insert(&a, id * 2), insert(&b, id * 2 + 1));
        first.unwrap();
        second.unwrap();
    }
    assert_eq!(ids(&a).await.len(), 100);
    assert_eq!(ids(&b).await, ids(&a).await);
}

#[tokio::test]
async fn a_schema_goes_forward_and_a_newer_or_changed_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = url(folder.path());
    drop(open(folder.path()).await);
    let db = Database::open(Options::new(url.clone(), LATER)).await.unwrap();
    insert(&db, 1).await.unwrap();
    let colour = db
        .read(|r| r.query_one("select colour from item", &[], |row| row.get::<String>(0)))
        .await;
    assert_eq!(colour.unwrap().as_deref(), Some("red"));
    let told = Database::open(Options::new(url.clone(), SCHEMA))
        .await
        .unwrap_err();
    assert!(
        told.to_string()
            .contains("newer version: schema 2 of \"app\", this program knows 1")
    );
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    let url = super::tests::url(folder.path());
    let told = Database::open(Options::new(url, CHANGED)).await.unwrap_err();
    assert!(told.to_string().contains("with another text"), "{told}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    std::fs::write(
        &file,
        "not a database at all, but text that is long enough to be looked at",
    )
    .unwrap();
    let told = Database::open(Options::new(format!("sqlite:{}", file.display()), SCHEMA))
        .await
        .unwrap_err();
    assert!(matches!(told, Error::Corrupt { .. }), "{told}");
    assert!(told.to_string().contains("x.db"));
}

#[tokio::test]
async fn a_violated_constraint_says_which() {
    let db = Database::open(Options::new("sqlite::memory:", SCHEMA))
        .await
        .unwrap();
    insert(&db, 1).await.unwrap();
    assert!(insert(&db, 1).await.unwrap_err().is_unique_violation());
    let told = db
        .write(|tx| tx.execute("insert into item (price) values (-1)", &[]))
        .await
        .unwrap_err();
    assert!(
        matches!(
            told,
            Error::Constraint {
                kind: Constraint::Check,
                ..
            }
        ),
        "{told}"
    );
}

#[tokio::test]
async fn parameters_bind_by_their_number_in_any_order() {
    let db = Database::open(Options::new("sqlite::memory:", &[]))
        .await
        .unwrap();
    let ask = |sql: &'static str, params: Vec<Param>| {
        let db = db.clone();
        async move {
            db.read(move |r| r.query_one(sql, &params, |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))))
                .await
        }
    };
    let two = || vec![1.into(), 2.into()];
    assert_eq!(ask("select $2, $1", two()).await.unwrap(), Some((2, 1)));
    assert_eq!(ask("select $2 + $2, $1", two()).await.unwrap(), Some((4, 1)));
    assert_eq!(
        ask("select $1, '$3' is not null", vec![7.into()]).await.unwrap(),
        Some((7, 1))
    );
    for (sql, params, expect) in [
        ("select $3, $1", two(), "uses $3, but 2 values"),
        (
            "select $1, 1",
            two(),
            "2 values are given, but the statement uses 1",
        ),
        (
            "select ?, 1",
            vec![1.into()],
            "expected parameters $1, $2 …, found ?",
        ),
        ("select :a, 1", vec![1.into()], "found :a"),
    ] {
        let told = ask(sql, params).await.unwrap_err().to_string();
        assert!(told.contains(expect), "{told}");
    }
}

#[tokio::test]
async fn values_keep_their_types_and_a_wrong_type_is_named() {
    let db = Database::open(Options::new("sqlite::memory:", &[]))
        .await
        .unwrap();
    db.read(|r| {
        let params = [
            true.into(),
            1.5.into(),
            vec![1u8, 2].into(),
            Param::Null,
            "ü".into(),
        ];
        let sql = "select $1, $2, $3, $4, $5";
        let row = r.query_one(sql, &params, |row| {
            assert!(
                row.get::<u32>(5)
                    .unwrap_err()
                    .to_string()
                    .contains("no such column")
            );
            let told = row.get::<i64>(4).unwrap_err().to_string();
            assert_eq!(told, "column 4: expected an integer, found text");
            Ok((
                row.get::<bool>(0)?,
                row.get::<f64>(1)?,
                row.get::<Vec<u8>>(2)?,
                row.get::<Option<String>>(3)?,
                row.get::<String>(4)?,
            ))
        })?;
        assert_eq!(row, Some((true, 1.5, vec![1, 2], None, "ü".to_owned())));
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_query_of_too_many_rows_and_a_write_by_a_reader_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        rows_max: 2,
        ..Options::new(url(folder.path()), SCHEMA)
    };
    let db = Database::open(options).await.unwrap();
    for id in 0..3 {
        insert(&db, id).await.unwrap();
    }
    let told = db
        .read(|r| r.query("select id from item", &[], |row| row.get::<i64>(0)))
        .await;
    assert!(matches!(told, Err(Error::TooMany { rows_max: 2 })));
    let told = db
        .read(|r| r.query_one("delete from item returning id", &[], |_| Ok(())))
        .await;
    assert!(told.is_err());
    assert!(matches!(
        db.read(|_| -> Result<(), Error> { panic!("on purpose") }).await,
        Err(Error::Panicked)
    ));
    for _ in 0..10 {
        assert!(db.read(|_| Ok(())).await.is_ok());
    }
}

/// Keeps `name < parent` of every span.
#[tokio::test]
async fn spans_of_statements_have_the_caller_as_parent() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    let (telemetry, _exporter) = Telemetry::new(brick_telemetry::Options {
        log: LogTarget::Memory,
        ..brick_telemetry::Options::default()
    });
    let _default = tracing::subscriber::set_default(telemetry.subscriber());
    let caller = tracing::info_span!("caller");
    let work = async {
        insert(&db, 1).await.unwrap();
        ids(&db).await
    };
    tracing::Instrument::instrument(work, caller).await;
    let spans = telemetry.finished_spans();
    let (caller, statements) = spans.split_last().unwrap();
    assert_eq!((caller.name.as_ref(), caller.parent), ("caller", None));
    let within = Some(caller.context.span_id);
    let seen: Vec<_> = statements
        .iter()
        .map(|span| (span.name.as_ref(), span.parent))
        .collect();
    assert_eq!(seen, [("INSERT item", within), ("SELECT item", within)]);
}

/// Lets the file grow by so many pages and no more: to the engine that is a full disk. Gives the pages it has.
async fn limit_pages(db: &Database, more: i64) {
    db.write(move |tx| {
        let pages: Option<i64> = tx.query_one("pragma page_count", &[], |row| row.get(0))?;
        let limit = pages.unwrap_or_default() + more;
        tx.query(&format!("pragma max_page_count = {limit}"), &[], |row| {
            row.get::<i64>(0)
        })
    })
    .await
    .unwrap();
}

async fn fill(db: &Database, id: i64, bytes: usize) -> Result<u64, Error> {
    let text = "x".repeat(bytes);
    db.write(move |tx| {
        tx.execute(
            "insert into big (id, text) values ($1, $2)",
            &[id.into(), text.into()],
        )
    })
    .await
}

#[tokio::test]
async fn a_full_disk_is_named_loses_nothing_and_passes_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    db.write(|tx| tx.execute("create table big (id integer primary key, text text)", &[]))
        .await
        .unwrap();
    fill(&db, 1, 10).await.unwrap();
    limit_pages(&db, 2).await;
    let error = fill(&db, 2, 100_000).await.unwrap_err();
    assert!(
        matches!(&error, Error::Full { path } if path.ends_with("shop.db")),
        "{error:?}"
    );
    assert!(error.is_transient());
    assert!(error.to_string().contains("shop.db"), "{error}");
    let problem: brick_wire::Problem = error.into();
    assert_eq!(problem.status, 503);
    let kept = |db: Database| async move {
        db.read(|r| r.query("select id from big order by id", &[], |row| row.get::<i64>(0)))
            .await
            .unwrap()
    };
    assert_eq!(
        kept(db.clone()).await,
        [1],
        "what was there is there, and can be read"
    );
    fill(&db, 3, 10).await.unwrap();
    limit_pages(&db, 1_000).await;
    fill(&db, 2, 100_000).await.unwrap();
    assert_eq!(kept(db.clone()).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_group_tells_each_caller_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    db.write(|tx| tx.execute("create table big (id integer primary key, text text)", &[]))
        .await
        .unwrap();
    limit_pages(&db, 2).await;
    let (release, held) = hold(&db).await;
    let all = async { tokio::join!(insert(&db, 1), fill(&db, 2, 100_000), insert(&db, 3)) };
    let ((before, full, after), ()) = tokio::join!(all, async {
        queued(&db, 3).await;
        release.send(()).unwrap();
    });
    held.await.unwrap().unwrap();
    assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");
    let told: Vec<i64> = [(1, before), (3, after)]
        .into_iter()
        .filter(|(_, outcome)| outcome.is_ok())
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids(&db).await, told, "kept is exactly what was said to be kept");
}

#[tokio::test]
async fn a_lock_that_another_process_keeps_is_busy_and_passes_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await;
    insert(&db, 1).await.unwrap();
    let other = rusqlite::Connection::open(folder.path().join("state/shop.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let error = insert(&db, 2).await.unwrap_err();
    assert!(matches!(error, Error::Busy) && error.is_transient(), "{error:?}");
    assert_eq!(ids(&db).await, [1], "who reads does not wait");
    let problem: brick_wire::Problem = error.into();
    assert_eq!(problem.status, 503);
    other.execute_batch("rollback").unwrap();
    insert(&db, 2).await.unwrap();
    assert_eq!(ids(&db).await, [1, 2]);
}
