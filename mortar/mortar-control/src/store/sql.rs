//! The store on SQL: one transaction for each batch. A component of the platform's database.

mod audit;
mod lead;
mod uses;

use std::net::SocketAddr;
use std::sync::Arc;

use brick_bus::Resource;
use brick_core::{BrickName, Incarnation, Version};
use brick_state::{Database, Migration, Reader, Row, Tx};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;

use super::{Batch, Since, Store};
use crate::Error;
use crate::audit::{Filter, Numbered};
use crate::state::{Published, Registered, State};
use crate::uses::Use;
use lead::Term;

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "resources, instances, fences, manifest",
        sql: "create table control_meta (key text primary key, value text not null);
          create table control_resource (name text primary key, revision integer not null, value text not null);
          create table control_instance (incarnation text primary key, body text not null);
          create table control_fence (
              brick text not null, slot integer not null, incarnation text not null, primary key (brick, slot));",
    },
    Migration {
        version: 2,
        name: "fences by version",
        sql: "create table control_slot (
              brick text not null, version text not null, slot integer not null, incarnation text not null,
              primary key (brick, version, slot));
          insert into control_slot (brick, version, slot, incarnation)
              select brick, 'v1', slot, incarnation from control_fence;
          drop table control_fence;",
    },
    Migration {
        version: 3,
        name: "what operators set",
        sql: "create table control_setting (name text primary key, value text not null);",
    },
    Migration {
        version: 4,
        name: "the audit trail",
        sql: audit::TABLE,
    },
    Migration {
        version: 5,
        name: "resources that are gone",
        sql: "create table control_gone (name text primary key, revision integer not null);",
    },
    Migration {
        version: 6,
        name: "who uses what",
        sql: uses::TABLE,
    },
];

/// A process that is so many revisions behind reads everything anew: older graves are forgotten.
const GRAVES_KEPT: u64 = 10_000;

/// Whoever stands by is told on this channel.
const NEWS: &str = "brick_control";
/// What the process that leads holds.
const LEAD: &str = "brick_control";

const SET: &str = "insert into control_meta (key, value) values ($1, $2)
    on conflict (key) do update set value = excluded.value";

const BURY: &str = "insert into control_gone (name, revision) values ($1, $2)
    on conflict (name) do update set revision = excluded.revision";
/// One statement, so that it sees one moment. What is gone has no value.
const SINCE: &str = "select name, revision, value from control_resource where revision > $1
    union all select name, revision, '' from control_gone where revision > $1 order by revision";

/// On a database, which it may share with others.
#[derive(Debug, Clone)]
pub struct Sql {
    db: Database,
    /// Held while this process leads.
    term: Arc<Mutex<Option<Term>>>,
}

impl Sql {
    /// Brings the schema forward.
    pub async fn open(db: Database) -> Result<Self, Error> {
        db.migrate("control", MIGRATIONS).await?;
        Ok(Self {
            db,
            term: Arc::default(),
        })
    }
}

impl Store for Sql {
    fn load(&self) -> BoxFuture<'_, Result<State, Error>> {
        Box::pin(async {
            let fresh = new_epoch();
            let ensure = self.db.write(move |tx| {
                if meta(tx, "epoch")?.is_none() {
                    tx.execute(SET, &["epoch".into(), fresh.into()])?;
                }
                Ok(())
            });
            ensure.await?;
            Ok(self.db.read(load).await?)
        })
    }

    fn save(&self, batch: Batch) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let term = self.term();
            let saved = self.db.write(move |tx| {
                lead::check(tx, term.as_deref())?;
                save(tx, &batch)?;
                tx.notify(NEWS, "")
            });
            Ok(saved.await?)
        })
    }

    fn audited(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Numbered>, Error>> {
        Box::pin(async { Ok(self.db.read(move |reader| audit::find(reader, &filter)).await?) })
    }

    fn account(&self, uses: Vec<Use>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(self.db.write(move |tx| uses::add(tx, &uses)).await?) })
    }

    fn used(&self, from: String) -> BoxFuture<'_, Result<Vec<Use>, Error>> {
        Box::pin(async { Ok(self.db.read(move |reader| uses::sum(reader, &from)).await?) })
    }

    fn since(&self, revision: u64) -> BoxFuture<'_, Result<Since, Error>> {
        Box::pin(async move { Ok(self.db.read(move |reader| since(reader, revision)).await?) })
    }

    fn news(&self) -> BoxStream<'static, ()> {
        // A notification that was lost may have been one: both say look.
        match self.db.listen(NEWS) {
            Ok(listener) => listener.map(|_| ()).boxed(),
            Err(error) => {
                tracing::error!(error = brick_core::chain(&error), "the store cannot tell of news");
                stream::pending().boxed()
            }
        }
    }

    fn lead(&self, at: SocketAddr) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.take_lead(at))
    }

    fn deposed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.lose_lead())
    }

    fn leader(&self) -> BoxFuture<'_, Result<Option<SocketAddr>, Error>> {
        Box::pin(async {
            let at = self.db.read(|reader| meta(reader, lead::LEADER)).await?;
            Ok(at.and_then(|at| at.parse().ok()))
        })
    }
}

/// Letters and digits only: the random half of a UUIDv7.
fn new_epoch() -> String {
    let text: String = Incarnation::new().to_string().replace('-', "");
    text.chars().skip(16).collect()
}

fn meta(reader: &Reader<'_>, key: &str) -> Result<Option<String>, brick_state::Error> {
    let sql = "select value from control_meta where key = $1";
    reader.query_one(sql, &[key.into()], |row| row.get::<String>(0))
}

fn load(reader: &Reader<'_>) -> Result<State, brick_state::Error> {
    let broken = |what: &str| brick_state::Error::rollback(format!("the stored {what} cannot be read"));
    let revision = meta(reader, "revision")?.unwrap_or_else(|| "0".to_owned());
    let manifest = match meta(reader, "manifest")? {
        Some(text) => Some(serde_json::from_str(&text).map_err(|_| broken("manifest"))?),
        None => None,
    };
    let resources = reader.query(
        "select name, revision, value from control_resource",
        &[],
        resource,
    )?;
    let instances = reader.query("select body from control_instance", &[], |row| {
        row.json::<Registered>(0)
    })?;
    let sql = "select brick, version, slot, incarnation from control_slot";
    let fences = reader.query(sql, &[], |row| {
        let (brick, version) = (row.get::<String>(0)?, row.get::<String>(1)?);
        Ok((brick, version, row.get::<u32>(2)?, row.get::<String>(3)?))
    })?;
    let fences = fences.into_iter().map(|(brick, version, slot, newest)| {
        let brick = BrickName::new(&brick).map_err(|_| broken("name of a brick"))?;
        let version = Version::new(&version).map_err(|_| broken("label of a version"))?;
        let newest = newest.parse().map_err(|_| broken("incarnation"))?;
        Ok(((brick, version, slot), newest))
    });
    let settings = reader.query("select name, value from control_setting", &[], |row| {
        Ok((row.get::<String>(0)?, Arc::new(row.json::<serde_json::Value>(1)?)))
    })?;
    Ok(State {
        settings: settings.into_iter().collect(),
        epoch: meta(reader, "epoch")?.ok_or_else(|| broken("epoch"))?,
        revision: revision.parse().map_err(|_| broken("revision"))?,
        resources: resources
            .into_iter()
            .map(|resource| (resource.name.clone(), Arc::new(resource)))
            .collect(),
        instances: instances
            .into_iter()
            .map(|one| (one.instance.incarnation, Arc::new(one)))
            .collect(),
        fences: fences.collect::<Result<_, brick_state::Error>>()?,
        manifest,
        api_keys: None,
        ..State::default()
    })
}

fn since(reader: &Reader<'_>, revision: u64) -> Result<Since, brick_state::Error> {
    let changes = reader.query(SINCE, &[signed(revision).into()], |row| {
        if row.get::<String>(2)?.is_empty() {
            let (name, revision) = (row.get(0)?, row.get(1)?);
            return Ok(Published::Delete { name, revision });
        }
        Ok(Published::Put(Arc::new(resource(row)?)))
    })?;
    let newest = changes.last().map_or(revision, Published::revision);
    Ok(Since {
        epoch: meta(reader, "epoch")?.unwrap_or_default(),
        revision: newest,
        changes: (newest - revision <= GRAVES_KEPT).then_some(changes),
    })
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn resource(row: &Row<'_>) -> Result<Resource, brick_state::Error> {
    Ok(Resource {
        name: row.get(0)?,
        revision: row.get(1)?,
        value: row.json(2)?,
    })
}

fn save(tx: &Tx<'_>, batch: &Batch) -> Result<(), brick_state::Error> {
    tx.execute(SET, &["revision".into(), batch.revision.to_string().into()])?;
    for resource in &batch.put {
        tx.execute(
            "insert into control_resource (name, revision, value) values ($1, $2, $3)
             on conflict (name) do update set revision = excluded.revision, value = excluded.value",
            &[
                (&resource.name).into(),
                signed(resource.revision).into(),
                resource.value.to_string().into(),
            ],
        )?;
    }
    for (name, revision) in &batch.deleted {
        tx.execute("delete from control_resource where name = $1", &[name.into()])?;
        tx.execute(BURY, &[name.into(), signed(*revision).into()])?;
    }
    if !batch.deleted.is_empty() {
        let forgotten = signed(batch.revision.saturating_sub(GRAVES_KEPT));
        tx.execute(
            "delete from control_gone where revision < $1",
            &[forgotten.into()],
        )?;
    }
    for incarnation in &batch.removed {
        let params = [incarnation.to_string().into()];
        tx.execute("delete from control_instance where incarnation = $1", &params)?;
    }
    for one in &batch.instances {
        tx.execute(
            "insert into control_instance (incarnation, body) values ($1, $2)
             on conflict (incarnation) do update set body = excluded.body",
            &[one.instance.incarnation.to_string().into(), json(&**one)?.into()],
        )?;
    }
    for ((brick, version, slot), newest) in &batch.fences {
        tx.execute(
            "insert into control_slot (brick, version, slot, incarnation) values ($1, $2, $3, $4)
             on conflict (brick, version, slot) do update set incarnation = excluded.incarnation",
            &[
                brick.as_str().into(),
                version.as_str().into(),
                (*slot).into(),
                newest.to_string().into(),
            ],
        )?;
    }
    for (name, value) in &batch.settings {
        match value {
            Some(value) => tx.execute(
                "insert into control_setting (name, value) values ($1, $2)
                 on conflict (name) do update set value = excluded.value",
                &[name.into(), value.to_string().into()],
            )?,
            None => tx.execute("delete from control_setting where name = $1", &[name.into()])?,
        };
    }
    audit::add(tx, &batch.audit)?;
    if let Some(manifest) = &batch.manifest {
        tx.execute(SET, &["manifest".into(), json(&**manifest)?.into()])?;
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, brick_state::Error> {
    serde_json::to_string(value).map_err(|error| brick_state::Error::rollback(error.to_string()))
}
