//! Statements: what a closure can do with the connection it is lent.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::Connection;
use tracing::field::Empty;

use crate::notify::{self, Notice};
use crate::postgres::Session;
use crate::sqlite::statement as lite;
use crate::summary::Summary;
use crate::{Error, Migration, Param, Row, migration};

/// What every statement needs to know about its database.
#[derive(Debug)]
pub(crate) struct Context {
    /// As OpenTelemetry's `db.system.name`.
    pub(crate) system: &'static str,
    /// Name for spans: the file's stem, `memory`, or the database's name.
    pub(crate) namespace: String,
    /// Where it is, for messages: a path, or a URL without its password.
    pub(crate) at: String,
    /// Host and port, where there is a server.
    pub(crate) server: Option<(String, u16)>,
    pub(crate) rows_max: usize,
}

/// Reads. All queries of one closure see the same moment.
#[derive(Debug)]
pub struct Reader<'c> {
    engine: Engine<'c>,
    context: &'c Context,
}

/// Reads and writes, undone as a whole where the closure fails.
#[derive(Debug)]
pub struct Tx<'c> {
    reader: Reader<'c>,
    /// What SQLite's writer tells once it has committed; PostgreSQL does that itself.
    notices: Option<&'c RefCell<Vec<Notice>>>,
}

#[derive(Debug, Clone, Copy)]
enum Engine<'c> {
    Sqlite(&'c Connection),
    Postgres(&'c Session),
}

impl<'c> Reader<'c> {
    pub(crate) fn sqlite(connection: &'c Connection, context: &'c Context) -> Self {
        Self {
            engine: Engine::Sqlite(connection),
            context,
        }
    }

    pub(crate) fn postgres(session: &'c Session, context: &'c Context) -> Self {
        Self {
            engine: Engine::Postgres(session),
            context,
        }
    }

    /// The first row, made into a `T`; none where there is none.
    pub fn query_one<T>(
        &self,
        sql: &str,
        params: &[Param],
        row: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.traced(sql, || {
            let found = match self.engine {
                Engine::Sqlite(connection) => lite::first(connection, self.context, sql, params, row)?,
                Engine::Postgres(session) => session.first(sql, params, row)?,
            };
            let count = usize::from(found.is_some());
            Ok((found, count))
        })
    }

    /// Every row, made into a `T`. More than the database's `rows_max` are an error: page with a limit.
    pub fn query<T>(
        &self,
        sql: &str,
        params: &[Param],
        row: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.traced(sql, || {
            let all = self.all(sql, params, row)?;
            let count = all.len();
            Ok((all, count))
        })
    }

    /// The same without a span.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: &[Param],
        row: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match self.engine {
            Engine::Sqlite(connection) => lite::all(connection, self.context, sql, params, row),
            Engine::Postgres(session) => session.all(sql, params, self.context.rows_max, row),
        }
    }

    /// Runs a statement inside its span. `run` gives the result and the number of rows it saw.
    fn traced<T>(&self, sql: &str, run: impl FnOnce() -> Result<(T, usize), Error>) -> Result<T, Error> {
        let summary = Summary::of(sql);
        let span = tracing::info_span!(
            "sql",
            otel.name = summary.name,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = self.context.system,
            db.operation.name = summary.operation,
            db.query.text = sql.trim(),
            db.namespace = self.context.namespace,
            db.response.returned_rows = Empty,
            server.address = Empty,
            server.port = Empty,
            error.type = Empty,
        );
        if let Some((host, port)) = &self.context.server {
            span.record("server.address", host.as_str());
            span.record("server.port", u64::from(*port));
        }
        let _entered = span.enter();
        match run() {
            Ok((value, rows)) => {
                span.record("db.response.returned_rows", rows as u64);
                Ok(value)
            }
            Err(error) => {
                span.record("otel.status_code", "error");
                span.record("error.type", error.kind());
                Err(error)
            }
        }
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn sqlite(
        connection: &'c Connection,
        context: &'c Context,
        notices: &'c RefCell<Vec<Notice>>,
    ) -> Self {
        Self {
            reader: Reader::sqlite(connection, context),
            notices: Some(notices),
        }
    }

    pub(crate) fn postgres(session: &'c Session, context: &'c Context) -> Self {
        Self {
            reader: Reader::postgres(session, context),
            notices: None,
        }
    }

    /// Runs a statement that returns no rows; the number of rows it changed.
    pub fn execute(&self, sql: &str, params: &[Param]) -> Result<u64, Error> {
        self.traced(sql, || Ok((self.change(sql, params)?, 0)))
    }

    /// Says a payload (at most 7,999 bytes) on a channel (at most 63 bytes), to those who
    /// [`listen`](crate::Database::listen), once the closure's changes are committed.
    pub fn notify(&self, channel: &str, payload: &str) -> Result<(), Error> {
        notify::check(channel, payload)?;
        if let Engine::Postgres(session) = self.engine {
            return session.notify(channel, payload);
        }
        if let Some(notices) = self.notices {
            notices.borrow_mut().push(Notice {
                channel: channel.to_owned(),
                payload: payload.to_owned(),
            });
        }
        Ok(())
    }

    /// Waits until no other closure, in whatever process, holds the lock of this name, and holds it to the end of this
    /// closure: those that take it run one after another. On SQLite all that write do.
    pub fn lock(&self, name: &str) -> Result<(), Error> {
        match self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(session) => session.lock(name),
        }
    }

    /// Brings the schema of a component forward within this transaction.
    pub(crate) fn migrate(&self, component: &str, migrations: &[Migration]) -> Result<(), Error> {
        migration::apply(self, component, migrations)
    }

    /// [`Tx::execute`] without a span.
    pub(crate) fn change(&self, sql: &str, params: &[Param]) -> Result<u64, Error> {
        match self.engine {
            Engine::Sqlite(connection) => lite::change(connection, self.context, sql, params),
            Engine::Postgres(session) => session.change(sql, params),
        }
    }

    /// Several statements, as a migration has them.
    pub(crate) fn batch(&self, sql: &str) -> Result<(), Error> {
        match self.engine {
            Engine::Sqlite(connection) => connection
                .execute_batch(sql)
                .map_err(|error| Error::sqlite(error, &self.context.at)),
            Engine::Postgres(session) => session.batch(sql),
        }
    }

    /// Which of two texts the engine takes.
    pub(crate) fn either<'t>(&self, sqlite: &'t str, postgres: &'t str) -> &'t str {
        match self.engine {
            Engine::Sqlite(_) => sqlite,
            Engine::Postgres(_) => postgres,
        }
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}
