//! Migrations: ordered, applied once, checked by their checksum, forward only.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest;
use rusqlite::{Connection, params};

use crate::Error;

/// One step of a schema. Never change one that was released: add another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Schema number that it leads to: 1 for the first, each one more.
    pub version: u32,
    /// What it does, for people.
    pub name: &'static str,
    /// One or several statements.
    pub sql: &'static str,
}

struct Applied {
    name: String,
    checksum: String,
}

const TABLE: &str = "create table if not exists brick_migration (
    component text not null, version integer not null, name text not null, checksum text not null,
    applied_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
    primary key (component, version)) strict";
const INSERT: &str =
    "insert into brick_migration (component, version, name, checksum) values (?1, ?2, ?3, ?4)";

/// Brings the schema of a component to the last of these migrations, all in one transaction. Several components share
/// a database without knowing of each other.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &str,
    component: &str,
    migrations: &[Migration],
) -> Result<(), Error> {
    let failed = |error| Error::sqlite(error, path);
    let behaviour = rusqlite::TransactionBehavior::Immediate;
    let tx = connection.transaction_with_behavior(behaviour).map_err(failed)?;
    apply(&tx, path, component, migrations)?;
    tx.commit().map_err(failed)
}

/// The same within a transaction that the caller holds.
pub(crate) fn apply(
    connection: &Connection,
    path: &str,
    component: &str,
    migrations: &[Migration],
) -> Result<(), Error> {
    check_order(component, migrations)?;
    let failed = |error| Error::sqlite(error, path);
    connection.execute_batch(TABLE).map_err(failed)?;
    let applied = applied(connection, component).map_err(failed)?;
    let known = migrations.last().map_or(0, |last| last.version);
    if let Some(found) = applied.keys().copied().max().filter(|found| *found > known) {
        return Err(Error::Newer {
            component: component.to_owned(),
            found,
            known,
        });
    }
    for migration in migrations {
        let checksum = checksum(migration.sql);
        match applied.get(&migration.version) {
            Some(earlier) if earlier.checksum == checksum => {}
            Some(earlier) => return Err(migration.wrong(component, changed(&earlier.name))),
            None => {
                connection
                    .execute_batch(migration.sql)
                    .map_err(|error| migration.wrong(component, error.to_string()))?;
                connection
                    .execute(
                        INSERT,
                        params![component, migration.version, migration.name, checksum],
                    )
                    .map_err(failed)?;
            }
        }
    }
    Ok(())
}

impl Migration {
    fn wrong(&self, component: &str, reason: String) -> Error {
        Error::Migration {
            component: component.to_owned(),
            version: self.version,
            name: self.name.to_owned(),
            reason,
        }
    }
}

fn changed(name: &str) -> String {
    format!(
        "it was applied as \"{name}\" with another text; restore that text and add a new migration instead"
    )
}

fn check_order(component: &str, migrations: &[Migration]) -> Result<(), Error> {
    for (migration, expected) in migrations.iter().zip(1..) {
        if migration.version != expected {
            return Err(migration.wrong(
                component,
                format!("expected versions 1, 2, 3 … in order, {expected} here"),
            ));
        }
    }
    Ok(())
}

fn applied(connection: &Connection, component: &str) -> rusqlite::Result<BTreeMap<u32, Applied>> {
    let sql = "select version, name, checksum from brick_migration where component = ?1";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([component], |row| {
        let applied = Applied {
            name: row.get(1)?,
            checksum: row.get(2)?,
        };
        Ok((row.get(0)?, applied))
    })?;
    rows.collect()
}

/// SHA-256 of the text without the space around its lines, so that an editor's reformatting of indentation is no change.
fn checksum(sql: &str) -> String {
    let lines: Vec<&str> = sql
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let digest = digest::digest(&digest::SHA256, lines.join("\n").as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
