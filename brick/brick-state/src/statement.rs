//! Statements: what a closure can do with the connection it is lent.

use std::ops::Deref;

use rusqlite::{CachedStatement, Connection};
use tracing::field::Empty;

use crate::connection::Context;
use crate::summary::Summary;
use crate::{Error, Migration, Param, Row, migration};

/// Reads. All queries of one closure see the same moment.
#[derive(Debug)]
pub struct Reader<'c> {
    connection: &'c Connection,
    context: &'c Context,
}

/// Reads and writes, undone as a whole where the closure fails.
#[derive(Debug)]
pub struct Tx<'c>(Reader<'c>);

impl<'c> Reader<'c> {
    pub(crate) fn new(connection: &'c Connection, context: &'c Context) -> Self {
        Self { connection, context }
    }

    /// The first row, made into a `T`; none where there is none.
    pub fn query_one<T>(
        &self,
        sql: &str,
        params: &[Param],
        row: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.traced(sql, |statement| {
            self.bind(sql, statement, params)?;
            let mut rows = statement.raw_query();
            match rows.next().map_err(|error| self.sorted(error))? {
                Some(found) => Ok((Some(row(&Row { inner: found })?), 1)),
                None => Ok((None, 0)),
            }
        })
    }

    /// Every row, made into a `T`. More than the database's `rows_max` are an error: page with a limit.
    pub fn query<T>(
        &self,
        sql: &str,
        params: &[Param],
        mut row: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.traced(sql, |statement| {
            self.bind(sql, statement, params)?;
            let mut rows = statement.raw_query();
            let mut all = Vec::new();
            while let Some(found) = rows.next().map_err(|error| self.sorted(error))? {
                if all.len() == self.context.rows_max {
                    return Err(Error::TooMany {
                        rows_max: self.context.rows_max,
                    });
                }
                all.push(row(&Row { inner: found })?);
            }
            let count = all.len();
            Ok((all, count))
        })
    }

    /// Runs a prepared statement inside its span. `run` gives the result and the number of rows it saw.
    fn traced<T>(
        &self,
        sql: &str,
        run: impl FnOnce(&mut CachedStatement<'_>) -> Result<(T, usize), Error>,
    ) -> Result<T, Error> {
        let summary = Summary::of(sql);
        let span = tracing::info_span!(
            "sql",
            otel.name = summary.name,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "sqlite",
            db.operation.name = summary.operation,
            db.query.text = sql.trim(),
            db.namespace = self.context.namespace,
            db.response.returned_rows = Empty,
            error.type = Empty,
        );
        let _entered = span.enter();
        let outcome = self
            .connection
            .prepare_cached(sql)
            .map_err(|error| self.sorted(error))
            .and_then(|mut statement| run(&mut statement));
        match outcome {
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

    /// Binds `$n` to `params[n - 1]`, in whatever order the text names them. SQLite numbers named parameters by their
    /// first appearance, so they are bound by name.
    fn bind(&self, sql: &str, statement: &mut CachedStatement<'_>, params: &[Param]) -> Result<(), Error> {
        let misfit = |reason: String| Error::Parameters {
            reason,
            sql: sql.trim().to_owned(),
        };
        let mut used = 0;
        for index in 1..=statement.parameter_count() {
            let name = statement.parameter_name(index);
            let number = name
                .and_then(|name| name.strip_prefix('$'))
                .and_then(|digits| digits.parse::<usize>().ok())
                .filter(|number| *number > 0)
                .ok_or_else(|| {
                    let found = name.unwrap_or("?").to_owned();
                    misfit(format!("expected parameters $1, $2 …, found {found}"))
                })?;
            let value = params.get(number - 1).ok_or_else(|| {
                misfit(format!(
                    "the statement uses ${number}, but {} values are given",
                    params.len()
                ))
            })?;
            statement
                .raw_bind_parameter(index, value)
                .map_err(|error| self.sorted(error))?;
            used = used.max(number);
        }
        if used < params.len() {
            return Err(misfit(format!(
                "{} values are given, but the statement uses {used}",
                params.len()
            )));
        }
        Ok(())
    }

    fn sorted(&self, error: rusqlite::Error) -> Error {
        Error::sqlite(error, &self.context.path)
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn new(connection: &'c Connection, context: &'c Context) -> Self {
        Self(Reader::new(connection, context))
    }

    /// Runs a statement that returns no rows; the number of rows it changed.
    pub fn execute(&self, sql: &str, params: &[Param]) -> Result<u64, Error> {
        self.0.traced(sql, |statement| {
            self.0.bind(sql, statement, params)?;
            let changed = statement.raw_execute().map_err(|error| self.0.sorted(error))?;
            Ok((changed as u64, 0))
        })
    }
}

impl Tx<'_> {
    /// Brings the schema of a component forward within this transaction.
    pub(crate) fn migrate(&self, component: &str, migrations: &[Migration]) -> Result<(), Error> {
        let Reader { connection, context } = &self.0;
        migration::apply(connection, &context.path, component, migrations)
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.0
    }
}
