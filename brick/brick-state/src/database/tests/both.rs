//! What holds on SQLite and on PostgreSQL alike: each test runs on a database of its own of either.

use std::collections::HashSet;

use tempfile::TempDir;

use super::*;

/// An empty database, and how others open it.
struct Bed {
    url: String,
    is_server: bool,
    _folder: TempDir,
}

fn beds() -> [Bed; 2] {
    let bed = |server: Option<String>| {
        let folder = tempfile::tempdir().unwrap();
        Bed {
            is_server: server.is_some(),
            url: server.unwrap_or_else(|| url(folder.path())),
            _folder: folder,
        }
    };
    [bed(None), bed(Some(private_postgres::database()))]
}

impl Bed {
    async fn open(&self, schema: &'static [Migration]) -> Database {
        Database::open(Options::new(&self.url, schema)).await.unwrap()
    }
}

#[tokio::test]
async fn an_error_or_a_panic_undoes_its_own_closure_alone() {
    for bed in beds() {
        let db = bed.open(SCHEMA).await;
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
        let (one, fails, panics, four) = tokio::join!(insert(&db, 1), fails, panics, insert(&db, 4));
        assert_eq!((one.unwrap(), four.unwrap()), (1, 1));
        assert_eq!(fails.unwrap_err().to_string(), "rolled back: out of stock");
        assert!(matches!(panics, Err(Error::Panicked)));
        assert_eq!(ids(&db).await, [1, 4]);
        assert_eq!((db.stats().undone, db.stats().queued), (2, 0));
    }
}

#[tokio::test]
async fn two_processes_may_share_one_database_and_start_at_the_same_moment() {
    for bed in beds() {
        let (a, b) = tokio::join!(bed.open(SCHEMA), bed.open(SCHEMA));
        for id in 0..50 {
            let (first, second) = tokio::join!(insert(&a, id * 2), insert(&b, id * 2 + 1));
            first.unwrap();
            second.unwrap();
        }
        assert_eq!(ids(&a).await.len(), 100);
        assert_eq!(ids(&b).await, ids(&a).await);
        assert_eq!(a.is_shared(), bed.is_server);
    }
}

#[tokio::test]
async fn a_schema_goes_forward_and_a_newer_or_changed_one_is_refused() {
    for bed in beds() {
        drop(bed.open(SCHEMA).await);
        let changed = Database::open(Options::new(&bed.url, CHANGED)).await.unwrap_err();
        assert!(changed.to_string().contains("with another text"), "{changed}");
        let db = bed.open(LATER).await;
        insert(&db, 1).await.unwrap();
        let colour = db
            .read(|r| r.query_one("select colour from item", &[], |row| row.get::<String>(0)))
            .await;
        assert_eq!(colour.unwrap().as_deref(), Some("red"));
        let newer = Database::open(Options::new(&bed.url, SCHEMA)).await.unwrap_err();
        let expect = "newer version: schema 2 of \"app\", this program knows 1";
        assert!(newer.to_string().contains(expect), "{newer}");
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind_and_is_named() {
    const BROKEN: &[Migration] = &[
        SCHEMA[0],
        Migration {
            version: 2,
            name: "broken",
            sql: "create table other (id integer); insert into nowhere values (1)",
        },
    ];
    for bed in beds() {
        let told = Database::open(Options::new(&bed.url, BROKEN)).await.unwrap_err();
        assert!(
            told.to_string()
                .starts_with("migration 2 \"broken\" of \"app\": "),
            "{told}"
        );
        let db = bed.open(LATER).await;
        assert!(ids(&db).await.is_empty());
    }
}

#[tokio::test]
async fn a_violated_constraint_says_which() {
    const MIGRATIONS: &[Migration] = &[Migration {
        version: 1,
        name: "all kinds",
        sql: "create table colour (name text primary key) strict, without rowid;
              create table item (id integer primary key, price integer check (price >= 0), name text not null,
                  colour text references colour (name))",
    }];
    for bed in beds() {
        let db = bed.open(MIGRATIONS).await;
        let run = |sql: &'static str| {
            let db = db.clone();
            async move { db.write(move |tx| tx.execute(sql, &[])).await }
        };
        let check = |told: Result<u64, Error>, expect: Constraint| {
            let told = told.unwrap_err();
            assert!(
                matches!(&told, Error::Constraint { kind, .. } if *kind == expect),
                "{told}"
            );
        };
        run("insert into item (id, name) values (1, 'lamp')")
            .await
            .unwrap();
        let twice = run("insert into item (id, name) values (1, 'lamp')").await;
        assert!(twice.as_ref().unwrap_err().is_unique_violation());
        check(
            run("insert into item (id, price, name) values (2, -1, 'x')").await,
            Constraint::Check,
        );
        check(run("insert into item (id) values (2)").await, Constraint::NotNull);
        let colourless = run("insert into item (id, name, colour) values (2, 'x', 'red')").await;
        check(colourless, Constraint::ForeignKey);
    }
}

#[tokio::test]
async fn parameters_bind_by_their_number_in_any_order() {
    for bed in beds() {
        let db = bed.open(&[]).await;
        let ask = |sql: &'static str, params: Vec<Param>| {
            let db = db.clone();
            async move {
                let two = |row: &crate::Row<'_>| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?));
                db.read(move |r| r.query_one(sql, &params, two)).await
            }
        };
        let two = || vec![1.into(), 2.into()];
        for _ in 0..2 {
            assert_eq!(ask("select $2, $1", two()).await.unwrap(), Some((2, 1)));
            assert_eq!(ask("select $2 + $2, $1", two()).await.unwrap(), Some((4, 1)));
            let quoted = ask("select $1, '$3' is not null", vec![7.into()]).await;
            assert_eq!(quoted.unwrap(), Some((7, 1)));
        }
        for (sql, params, expect) in [
            ("select $3, $1", two(), "uses $3, but 2 values"),
            (
                "select $1, 1",
                two(),
                "2 values are given, but the statement uses 1",
            ),
        ] {
            let told = ask(sql, params).await.unwrap_err().to_string();
            assert!(told.contains(expect), "{told}");
        }
    }
}

#[tokio::test]
async fn values_keep_their_types_and_a_wrong_type_is_named() {
    for bed in beds() {
        let db = bed.open(&[]).await;
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
                let told = row.get::<u32>(5).unwrap_err().to_string();
                assert!(told.contains("no such column"), "{told}");
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
}

#[tokio::test]
async fn every_type_of_column_gives_back_what_was_put_in() {
    const MIGRATIONS: &[Migration] = &[Migration {
        version: 1,
        name: "all types",
        sql: "create table kind (id integer primary key autoincrement, n integer, r real, t text, b blob)",
    }];
    type All = (i64, Option<i64>, Option<f64>, Option<String>, Option<Vec<u8>>);
    for bed in beds() {
        let db = bed.open(MIGRATIONS).await;
        let all: Vec<All> = db
            .write(|tx| {
                let sql = "insert into kind (n, r, t, b) values ($1, $2, $3, $4) returning id";
                let id = |row: &crate::Row<'_>| row.get::<i64>(0);
                let full = [i64::MIN.into(), 2.into(), "é".into(), vec![0u8, 255].into()];
                assert_eq!(tx.query_one(sql, &full, id)?, Some(1));
                let none = [Param::Null, Param::Null, Param::Null, Param::Null];
                assert_eq!(tx.query_one(sql, &none, id)?, Some(2));
                tx.query("select id, n, r, t, b from kind order by id", &[], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
            })
            .await
            .unwrap();
        let full = (
            1,
            Some(i64::MIN),
            Some(2.0),
            Some("é".to_owned()),
            Some(vec![0, 255]),
        );
        assert_eq!(all, [full, (2, None, None, None, None)]);
        let sum = db
            .read(|r| {
                let sql =
                    "select sum(id), count(*), max(t) from kind where ($1 is null or t = $1) and id < $2";
                r.query_one(sql, &[Param::Null, 9.into()], |row| {
                    Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<String>(2)?))
                })
            })
            .await;
        assert_eq!(sum.unwrap(), Some((3, 2, "é".to_owned())));
    }
}

#[tokio::test]
async fn text_is_ordered_by_its_bytes() {
    for bed in beds() {
        let db = bed.open(SCHEMA).await;
        let names: Vec<String> = db
            .write(|tx| {
                for (id, name) in [(1, "b"), (2, "B"), (3, "a-c"), (4, "ab"), (5, "é"), (6, "a")] {
                    tx.execute(
                        "insert into item (id, name) values ($1, $2)",
                        &[id.into(), name.into()],
                    )?;
                }
                tx.query("select name from item order by name", &[], |row| row.get(0))
            })
            .await
            .unwrap();
        assert_eq!(names, ["B", "a", "a-c", "ab", "b", "é"]);
    }
}

#[tokio::test]
async fn a_query_of_too_many_rows_and_a_write_by_a_reader_are_refused() {
    for bed in beds() {
        let options = Options {
            rows_max: 2,
            ..Options::new(&bed.url, SCHEMA)
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
}

#[tokio::test]
async fn a_reader_sees_one_moment_while_others_write() {
    for bed in beds() {
        let db = bed.open(SCHEMA).await;
        insert(&db, 1).await.unwrap();
        let (begun, has_begun) = oneshot::channel();
        let (written, was_written) = oneshot::channel::<()>();
        let reads = db.read(move |r| {
            let count = || r.query_one("select count(*) from item", &[], |row| row.get::<i64>(0));
            let before = count()?;
            let _ = begun.send(());
            let _ = was_written.blocking_recv();
            Ok((before, count()?))
        });
        let writes = async {
            has_begun.await.unwrap();
            insert(&db, 2).await.unwrap();
            written.send(()).unwrap();
        };
        let (seen, ()) = tokio::join!(reads, writes);
        assert_eq!(seen.unwrap(), (Some(1), Some(1)));
        assert_eq!(ids(&db).await, [1, 2]);
    }
}

#[tokio::test]
async fn spans_of_statements_have_the_caller_as_parent() {
    for bed in beds() {
        let db = bed.open(SCHEMA).await;
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
}

#[tokio::test]
async fn closures_that_take_a_lock_take_turns() {
    const MIGRATIONS: &[Migration] = &[Migration {
        version: 1,
        name: "a counter",
        sql: "create table counter (n integer not null); insert into counter (n) values (0)",
    }];
    for bed in beds() {
        let (a, b) = (bed.open(MIGRATIONS).await, bed.open(MIGRATIONS).await);
        let counting: Vec<_> = (0..40)
            .map(|turn| {
                let db = if turn % 2 == 0 { a.clone() } else { b.clone() };
                tokio::spawn(async move {
                    db.write(|tx| {
                        tx.lock("counter")?;
                        let n = tx.query_one("select n from counter", &[], |row| row.get::<i64>(0))?;
                        let next = n.unwrap_or_default() + 1;
                        tx.execute("update counter set n = $1", &[next.into()])?;
                        Ok(next)
                    })
                    .await
                })
            })
            .collect();
        let mut seen = HashSet::new();
        for turn in counting {
            seen.insert(turn.await.unwrap().unwrap());
        }
        assert_eq!(seen, (1..=40).collect());
    }
}

#[tokio::test]
async fn a_notification_is_heard_once_its_write_is_committed_and_not_when_it_is_undone() {
    for bed in beds() {
        let db = bed.open(SCHEMA).await;
        let mut changes = listening(&db, "changes").await;
        let mut others = listening(&db, "Other \"things\"").await;
        let undone = db.write(|tx| {
            tx.notify("changes", "undone")?;
            Err::<(), _>(Error::rollback("no"))
        });
        undone.await.unwrap_err();
        db.write(|tx| {
            tx.notify("changes", "1")?;
            tx.notify("Other \"things\"", "")?;
            tx.execute("insert into item (id) values (1)", &[])
        })
        .await
        .unwrap();
        assert_eq!(changes.hear().await, Heard::Payload("1".to_owned()));
        assert_eq!(ids(&db).await, [1]);
        assert_eq!(others.hear().await, Heard::Payload(String::new()));
        for (channel, payload) in [("", 1), ("changes", 8_000)] {
            let said = db.write(move |tx| tx.notify(channel, &"x".repeat(payload)));
            assert!(said.await.unwrap_err().to_string().contains("expected a "));
        }
        db.write(|tx| tx.notify("changes", &"x".repeat(7_999)))
            .await
            .unwrap();
        assert!(matches!(changes.hear().await, Heard::Payload(text) if text.len() == 7_999));
    }
}

#[tokio::test]
async fn who_hears_too_slowly_is_told_that_something_was_lost() {
    for bed in beds() {
        let db = bed.open(&[]).await;
        let mut slow = listening(&db, "changes").await;
        let mut last = listening(&db, "last").await;
        db.write(|tx| (0..3_000).try_for_each(|n: i64| tx.notify("changes", &n.to_string())))
            .await
            .unwrap();
        db.write(|tx| tx.notify("last", "")).await.unwrap();
        while last.hear().await == Heard::Lost {}
        let first = slow.hear().await;
        let mut heard = vec![first];
        while !heard.contains(&Heard::Lost) {
            heard.push(slow.hear().await);
        }
        assert!(heard.len() <= 3_000, "some were lost, and it was said");
    }
}
