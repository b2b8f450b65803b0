//! What is SQLite's own: shared commits, a full disk, a file that is damaged or locked. What both engines do is in
//! [`both`], what is PostgreSQL's own in [`server`].

mod both;
mod server;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use brick_telemetry::{LogTarget, Telemetry};
use tokio::sync::oneshot;

use super::*;
use crate::{Constraint, Heard, Param};

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

async fn listening(db: &Database, channel: &str) -> Listener {
    let mut listener = db.listen(channel).unwrap();
    assert_eq!(listener.hear().await, Heard::Lost, "it has begun");
    listener
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
