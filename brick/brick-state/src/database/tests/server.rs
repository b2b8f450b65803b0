//! What is PostgreSQL's own: a server that refuses, is gone, or ends a connection; others on the same database.

use private_postgres::Server;

use super::*;

async fn server(url: &str) -> Database {
    Database::open(Options::new(url, SCHEMA)).await.unwrap()
}

/// Ends every other connection to the database that this one is open on.
async fn end_others(url: &str, named: &str) {
    let name = named.to_owned();
    let other = server(url).await;
    let ended = other.write(move |tx| {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid() and application_name like $1";
        tx.query(sql, &[name.into()], |row| row.get::<bool>(0))
    });
    assert!(!ended.await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_refuses_or_is_not_there_is_named_without_the_password() {
    let url = private_postgres::database();
    let check = |url: String, expect: &'static [&'static str]| async move {
        let told = Database::open(Options::new(url, &[])).await.unwrap_err();
        let text = told.to_string();
        assert!(expect.iter().all(|part| text.contains(part)), "{text}");
        assert!(
            !text.contains("geheim") && !format!("{told:?}").contains("geheim"),
            "{text}"
        );
        told
    };
    let wrong = url.replace(private_postgres::PASSWORD, "geheim");
    let told = check(
        wrong,
        &["cannot open postgres://shop@127.0.0.1", "password", "in the URL"],
    )
    .await;
    assert!(!told.is_transient());
    let (server, _) = url.rsplit_once('/').unwrap();
    check(
        format!("{server}/nowhere"),
        &["\"nowhere\" does not exist", "createdb"],
    )
    .await;
    let nobody = "postgres://shop:geheim@127.0.0.1:1/x".to_owned();
    let told = check(nobody, &["cannot reach postgres://shop@127.0.0.1:1/x", "refused"]).await;
    assert!(told.is_transient());
    let problem: brick_wire::Problem = told.into();
    assert_eq!(problem.status, 503);
    check(url.replace(":secret-of-this-test", ""), &["the URL has none"]).await;
}

#[tokio::test]
async fn what_is_encrypted_is_verified() {
    let server = Server::start();
    let url = server.database();
    let told = Database::open(Options::new(format!("{url}?sslmode=require"), SCHEMA)).await;
    let told = told.unwrap_err().to_string();
    assert!(
        told.contains("no TLS with 127.0.0.1") && told.contains("certificate"),
        "{told}"
    );
    let trusted = format!(
        "{url}?sslmode=verify-full&sslrootcert={}",
        server.authority().display()
    );
    let db = Database::open(Options::new(trusted, SCHEMA)).await.unwrap();
    let encrypted = db
        .read(|r| {
            let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
            r.query_one(sql, &[], |row| row.get::<bool>(0))
        })
        .await;
    assert_eq!(encrypted.unwrap(), Some(true));
}

#[tokio::test]
async fn a_connection_that_the_server_ended_is_replaced_and_no_write_is_done_twice() {
    let url = private_postgres::database();
    let db = server(&url).await;
    insert(&db, 1).await.unwrap();
    end_others(&url, "brickwork").await;
    insert(&db, 2).await.unwrap();
    assert_eq!(ids(&db).await, [1, 2]);

    let during = db.write(|tx| {
        tx.execute("insert into item (id) values (3)", &[])?;
        tx.query_one("select pg_terminate_backend(pg_backend_pid())", &[], |_| Ok(()))
    });
    let told = during.await.unwrap_err();
    assert!(
        matches!(told, Error::Lost { .. }) && told.is_transient(),
        "{told}"
    );
    assert!(!told.to_string().contains(private_postgres::PASSWORD));
    assert_eq!(ids(&db).await, [1, 2], "what was not committed is not there");
}

#[tokio::test]
async fn a_connection_that_is_lost_during_the_commit_leaves_nobody_sure() {
    const DOOMED: &[Migration] = &[Migration {
        version: 1,
        name: "whose commit ends the connection",
        sql: "create table doomed (id integer not null);
              create function end_it() returns trigger language plpgsql as $$
                  begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
              create constraint trigger ends after insert on doomed deferrable initially deferred
                  for each row execute function end_it()",
    }];
    let options = Options::new(private_postgres::database(), DOOMED);
    let db = Database::open(options).await.unwrap();
    let written = db.write(|tx| tx.execute("insert into doomed (id) values ($1)", &[1.into()]));
    let told = written.await.unwrap_err();
    assert!(
        matches!(told, Error::Unsure { .. }) && !told.is_transient(),
        "{told:?}"
    );
    assert!(told.to_string().contains("look before you try again"), "{told}");
    db.ping().await.unwrap();
}

#[tokio::test]
async fn a_lock_that_another_keeps_is_busy_and_passes_when_it_goes() {
    let url = private_postgres::database();
    let (db, other) = (server(&url).await, server(&url).await);
    let (release, released) = oneshot::channel::<()>();
    let (locked, is_locked) = oneshot::channel();
    let holding = tokio::spawn(async move {
        let holds = other.write(move |tx| {
            tx.lock("items")?;
            let _ = locked.send(());
            let _ = released.blocking_recv();
            Ok(())
        });
        holds.await
    });
    is_locked.await.unwrap();
    let told = db.write(|tx| tx.lock("items")).await.unwrap_err();
    assert!(matches!(told, Error::Busy) && told.is_transient(), "{told:?}");
    db.write(|tx| tx.lock("others")).await.unwrap();
    release.send(()).unwrap();
    holding.await.unwrap().unwrap();
    db.write(|tx| tx.lock("items")).await.unwrap();
}

#[tokio::test]
async fn what_was_committed_outlives_a_crash_of_the_server_and_reads_go_on_when_it_is_back() {
    let server = Server::start();
    let db = Database::open(Options::new(server.database(), SCHEMA))
        .await
        .unwrap();
    insert(&db, 1).await.unwrap();
    let mut changes = listening(&db, "changes").await;
    let lead = db.try_lead("scheduler").await.unwrap().unwrap();
    server.stop();
    assert!(insert(&db, 2).await.unwrap_err().is_transient());
    lead.lost().await;
    assert!(!lead.is_held());
    server.start_again();
    assert_eq!(ids(&db).await, [1]);
    assert_eq!(changes.hear().await, Heard::Lost);
    db.write(|tx| tx.notify("changes", "again")).await.unwrap();
    assert_eq!(changes.hear().await, Heard::Payload("again".to_owned()));
    assert!(db.try_lead("scheduler").await.unwrap().is_some());
}

#[tokio::test]
async fn a_failed_statement_undoes_the_closure_even_if_it_goes_on() {
    let db = server(&private_postgres::database()).await;
    let told = db
        .write(|tx| {
            tx.execute("insert into item (id) values (1)", &[])?;
            let twice = tx.execute("insert into item (id) values (1)", &[]);
            assert!(twice.unwrap_err().is_unique_violation());
            Ok(())
        })
        .await;
    assert!(told.unwrap_err().is_unique_violation());
    assert!(ids(&db).await.is_empty());
    for sql in ["commit", "ROLLBACK", "begin"] {
        let told = db.write(move |tx| tx.execute(sql, &[])).await.unwrap_err();
        assert!(
            told.to_string().contains("begun and ended around the closure"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn more_closures_than_connections_wait_for_their_turn() {
    let options = Options {
        connections: 2,
        ..Options::new(private_postgres::database(), SCHEMA)
    };
    let db = Database::open(options).await.unwrap();
    let writers: Vec<_> = (0..50)
        .map(|id| {
            let db = db.clone();
            tokio::spawn(async move { insert(&db, id).await })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap().unwrap(), 1);
    }
    let stats = db.stats();
    assert_eq!(
        (stats.commits, stats.writes, stats.undone, stats.queued),
        (50, 50, 0, 0)
    );
    let open = db
        .read(|r| {
            let sql = "select count(*) from pg_stat_activity where datname = current_database()";
            r.query_one(sql, &[], |row| row.get::<i64>(0))
        })
        .await;
    assert!(open.unwrap().unwrap() <= 2);
}

#[tokio::test]
async fn a_schema_of_its_own_keeps_systems_apart_on_one_database() {
    let url = private_postgres::database();
    let (a, b) = (format!("{url}?schema=a"), format!("{url}?schema=B%22x"));
    let (a, again, b) = tokio::join!(server(&a), server(&a), server(&b));
    insert(&a, 1).await.unwrap();
    insert(&b, 2).await.unwrap();
    assert_eq!(
        (ids(&a).await, ids(&again).await, ids(&b).await),
        (vec![1], vec![1], vec![2])
    );
    assert!(a.namespace().ends_with("|a"), "{}", a.namespace());
    let (_a, _b) = (
        a.try_lead("x").await.unwrap().unwrap(),
        b.try_lead("x").await.unwrap().unwrap(),
    );
    let (mut of_a, mut of_b) = (listening(&again, "x").await, listening(&b, "x").await);
    a.write(|tx| tx.notify("x", "a")).await.unwrap();
    b.write(|tx| tx.notify("x", "b")).await.unwrap();
    assert_eq!(of_b.hear().await, Heard::Payload("b".to_owned()));
    assert_eq!(of_a.hear().await, Heard::Payload("a".to_owned()));
}

#[tokio::test]
async fn types_that_only_the_server_has_are_taken_from_text_and_given_as_text() {
    const OWN: &[Migration] = &[Migration {
        version: 1,
        name: "own types",
        sql: "create type mood as enum ('good', 'bad');
              create table own (id uuid primary key, body jsonb not null, small smallint, mood mood, sure boolean)",
    }];
    let db = Database::open(Options::new(private_postgres::database(), OWN))
        .await
        .unwrap();
    let id = "0190a8b2-7c1e-7f3a-9b1d-2f4c6e8a0b1c";
    let row = db.write(move |tx| {
        let values = [
            id.into(),
            r#"{"a": 1}"#.into(),
            7.into(),
            "good".into(),
            true.into(),
        ];
        tx.execute(
            "insert into own (id, body, small, mood, sure) values ($1, $2, $3, $4, $5)",
            &values,
        )?;
        let sql = "select id, body, small, mood, sure, now() from own where id = $1 and mood = $2";
        tx.query_one(sql, &[id.into(), "good".into()], |row| {
            let told = row.get::<String>(5).unwrap_err().to_string();
            assert!(told.contains("cast it in the statement"), "{told}");
            let body: serde_json::Value = row.json(1)?;
            let (small, mood, sure) = (row.get::<i32>(2)?, row.get::<String>(3)?, row.get::<bool>(4)?);
            Ok((row.get::<String>(0)?, body["a"].as_i64(), small, mood, sure))
        })
    });
    let expect = (id.to_owned(), Some(1), 7, "good".to_owned(), true);
    assert_eq!(row.await.unwrap(), Some(expect));
}

#[tokio::test]
async fn every_process_on_the_database_hears_and_one_alone_leads() {
    let url = private_postgres::database();
    let (a, b) = (server(&url).await, server(&url).await);
    let mut heard = listening(&b, "changes").await;
    a.write(|tx| tx.notify("changes", "7")).await.unwrap();
    assert_eq!(heard.hear().await, Heard::Payload("7".to_owned()));

    let lead = a.try_lead("scheduler").await.unwrap().unwrap();
    assert!(lead.is_held());
    assert!(b.try_lead("scheduler").await.unwrap().is_none());
    assert!(b.try_lead("another").await.unwrap().is_some());
    lead.release().await;
    let lead = b.try_lead("scheduler").await.unwrap().unwrap();
    end_others(&url, "brickwork lead").await;
    lead.lost().await;
    assert!(!lead.is_held());
    let lead = a.try_lead("scheduler").await.unwrap().unwrap();
    drop(lead);
    while b.try_lead("scheduler").await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
}
