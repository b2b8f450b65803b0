//! The database as an environment adapter: a table of the brick's own state, whose rows are keys and values.
//!
//! Rows count above the configuration repository and below live changes; their values are text that stands for what the
//! key wants, as in the environment. The table is read at the start, again when somebody says `notify brick_config`
//! (PostgreSQL) or writes through the same [`Database`], and every few seconds. All rows are taken, or none: where one
//! does not fit, the old values stay in every configuration of the process, and the log says why.

use std::collections::BTreeMap;
use std::time::Duration;

use brick_core::Drain;
use brick_state::{Database, Listener, Migration};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use crate::Live;
use crate::layer::Rows;

/// Channel on which a change of the table may be told.
pub const CHANNEL: &str = "brick_config";
/// How soon a change counts that nobody told of.
const EVERY: Duration = Duration::from_secs(3);
/// Rows that are read at most.
const ROWS_MAX: u32 = 10_000;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "configuration",
    sql: "create table brick_config (key text primary key, value text not null)",
}];
const SELECT: &str = "select key, value from brick_config order by key limit $1";

/// Reads the table and has it count.
#[derive(Debug)]
pub struct Table {
    db: Database,
    live: Live,
    changes: Listener,
    seen: Option<Rows>,
    /// What was last said of rows that cannot be read.
    problem: Option<String>,
}

impl Table {
    /// Makes the table where it is missing, and takes its rows.
    pub async fn open(db: &Database, live: &Live) -> Result<Self, brick_state::Error> {
        db.migrate("config", MIGRATIONS).await?;
        let mut table = Self {
            db: db.clone(),
            live: live.clone(),
            changes: db.listen(CHANNEL)?,
            seen: None,
            problem: None,
        };
        table.look().await?;
        Ok(table)
    }

    /// Follows the table until the drain is requested.
    pub async fn follow(mut self, drain: Drain) {
        loop {
            tokio::select! {
                _ = self.changes.hear() => {}
                () = tokio::time::sleep(EVERY) => {}
                () = drain.requested() => return,
            }
            let problem = self.look().await.err().map(|error| error.to_string());
            if problem != self.problem
                && let Some(reason) = &problem
            {
                tracing::warn!(
                    reason,
                    "the configuration in the database cannot be read, the old values stay"
                );
            }
            self.problem = problem;
        }
    }

    async fn look(&mut self) -> Result<(), brick_state::Error> {
        let read = self
            .db
            .read(|reader| reader.query(SELECT, &[ROWS_MAX.into()], |row| Ok((row.get(0)?, row.get(1)?))));
        // Asked so often, it would be most of what is in the traces.
        let rows: Rows = read.with_subscriber(NoSubscriber::default()).await?;
        if self.seen.as_ref() == Some(&rows) {
            return Ok(());
        }
        self.seen = Some(rows.clone());
        match self.live.take(rows) {
            Ok(unknown) => tell(&unknown),
            Err(errors) => {
                tracing::warn!(%errors, "what the database says of the configuration is refused, the old values stay");
            }
        }
        Ok(())
    }
}

fn tell(unknown: &BTreeMap<String, String>) {
    for (key, nearest) in unknown {
        tracing::warn!(
            key,
            nearest,
            "no configuration of this brick has this key of the table brick_config"
        );
    }
}

#[cfg(test)]
mod tests;
