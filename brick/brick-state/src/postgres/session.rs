//! One connection: statements, each awaited on the blocking thread that asks, and the ends of transactions.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio_postgres::Statement;

use super::cells::Bound;
use super::prepared::{Asked, Prepared, WAYS};
use super::target::{Connected, STATEMENT_FOR, Target};
use super::{failure, schema, text};
use crate::summary::Summary;
use crate::value::Cells;
use crate::{Error, Param, Row, notify};

/// How long the beginning of a transaction may take on a connection that stands.
const BEGIN_FOR: Duration = Duration::from_secs(5);
/// How long an answer may take at most: the server ends a statement before that, so nobody is there any more.
const ANSWER_FOR: Duration = Duration::from_secs(STATEMENT_FOR.as_secs() + 5);
/// What only this crate says.
const ENDS: [&str; 7] = [
    "BEGIN",
    "START",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
];

/// A connection in use by one closure at a time.
pub(crate) struct Session {
    connected: Connected,
    runtime: Handle,
    at: String,
    schema: Option<String>,
    prepared: RefCell<Prepared>,
    /// The first failure in this transaction: it has undone everything.
    failed: RefCell<Option<Error>>,
    /// Whether a transaction is under way.
    busy: Cell<bool>,
    lost: Cell<bool>,
}

impl Session {
    pub(super) fn new(connected: Connected, runtime: Handle, target: &Target) -> Self {
        Self {
            connected,
            runtime,
            at: target.at().to_owned(),
            schema: target.schema().map(str::to_owned),
            prepared: RefCell::default(),
            failed: RefCell::default(),
            busy: Cell::new(false),
            lost: Cell::new(false),
        }
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, begin: &str) -> Result<(), Error> {
        self.failed.take();
        self.busy.set(true);
        let begun = tokio::time::timeout(BEGIN_FOR, self.connected.client.batch_execute(begin));
        match begun.await {
            Ok(begun) => begun.map_err(|error| failure::sorted(&error, &self.at)),
            Err(_) => Err(failure::silent(&self.at, BEGIN_FOR)),
        }
    }

    /// Ends the transaction with its changes kept.
    pub(super) fn commit(&self) -> Result<(), Error> {
        let committed = self.wait(self.connected.client.batch_execute("commit"));
        self.busy.set(false);
        committed.map_err(|error| match error {
            Error::Lost { at, reason } => Error::Unsure { at, reason },
            other => other,
        })
    }

    /// Ends the transaction with its changes undone.
    pub(super) fn roll_back(&self) -> Result<(), Error> {
        let undone = self.wait(self.connected.client.batch_execute("rollback"));
        self.busy.set(undone.is_err());
        undone
    }

    /// What failed first in this transaction, if anything has.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.borrow().clone()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Whether it stands and no transaction is under way.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy.get() && !self.lost.get() && !self.connected.client.is_closed()
    }

    /// The first row, made into a `T`. Every row is read, for an error may come after the first.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: &[Param],
        row: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let found = self.rows(sql, params, 1, usize::MAX)?;
        found
            .first()
            .map(|found| row(&Row(Cells::Postgres(found))))
            .transpose()
    }

    /// Every row, made into a `T`.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: &[Param],
        rows_max: usize,
        mut row: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let found = self.rows(sql, params, rows_max, rows_max)?;
        found
            .iter()
            .map(|found| row(&Row(Cells::Postgres(found))))
            .collect()
    }

    /// The number of rows that a statement changed.
    pub(crate) fn change(&self, sql: &str, params: &[Param]) -> Result<u64, Error> {
        self.noted(|| {
            let statement = self.statement(sql, params)?;
            self.wait(
                self.connected
                    .client
                    .execute_raw(&statement, params.iter().map(Bound)),
            )
        })
    }

    /// Several statements of a migration.
    pub(crate) fn batch(&self, sql: &str) -> Result<(), Error> {
        let sql = schema::translated(sql);
        self.noted(|| self.wait(self.connected.client.batch_execute(&sql)))
    }

    /// Waits for the lock of this name, which the end of the transaction gives back.
    pub(crate) fn lock(&self, name: &str) -> Result<(), Error> {
        let key = [text::key("lock", self.schema.as_deref(), name).into()];
        self.rows("select pg_advisory_xact_lock($1)", &key, 1, 1)
            .map(drop)
    }

    /// Says a payload on a channel when the transaction is committed.
    pub(crate) fn notify(&self, channel: &str, payload: &str) -> Result<(), Error> {
        let channel = text::channel(self.schema.as_deref(), channel);
        notify::check(&channel, payload)?;
        let params = [channel.into(), payload.into()];
        self.rows("select pg_notify($1, $2)", &params, 1, 1).map(drop)
    }

    /// The first `kept` rows of at most `rows_max`.
    fn rows(
        &self,
        sql: &str,
        params: &[Param],
        kept: usize,
        rows_max: usize,
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        self.noted(|| {
            let statement = self.statement(sql, params)?;
            let read = async {
                let bound = params.iter().map(Bound);
                let stream = self.connected.client.query_raw(&statement, bound).await?;
                let mut stream = pin!(stream);
                let (mut rows, mut seen) = (Vec::new(), 0);
                while let Some(row) = stream.try_next().await? {
                    seen += 1;
                    if seen > rows_max {
                        return Ok(None);
                    }
                    if rows.len() < kept {
                        rows.push(row);
                    }
                }
                Ok(Some(rows))
            };
            self.wait(read)?.ok_or(Error::TooMany { rows_max })
        })
    }

    /// Remembers the first failure of the transaction.
    fn noted<T>(&self, run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let outcome = run();
        if let Err(error) = &outcome {
            if matches!(error, Error::Conflict(_)) {
                // A statement prepared before the schema changed is one reason.
                self.prepared.take();
            }
            self.failed.borrow_mut().get_or_insert_with(|| error.clone());
        }
        outcome
    }

    /// The statement with types for its parameters that the values fit: those that the server infers, or where it infers
    /// none or others, those of the values.
    fn statement(&self, sql: &str, params: &[Param]) -> Result<Statement, Error> {
        for asked in (0..WAYS).filter_map(|nth| Asked::way(nth, params)) {
            let known = self.prepared.borrow().get(sql, &asked);
            let statement = match known {
                Some(known) => known,
                None => {
                    check(sql, params)?;
                    let statement = self.prepare(sql, &asked)?;
                    self.prepared.borrow_mut().put(sql, asked, statement.clone());
                    statement
                }
            };
            if let Some(statement) = statement
                && Bound::all_fit(params, statement.params())
            {
                return Ok(statement);
            }
        }
        check(sql, params)?;
        Err(misfit(
            sql,
            "the server cannot tell the types of the parameters; say them, such as cast($1 as bigint)"
                .to_owned(),
        ))
    }

    /// None where the server cannot tell the types. A savepoint keeps that from undoing the transaction.
    fn prepare(&self, sql: &str, asked: &Asked) -> Result<Option<Statement>, Error> {
        let client = &self.connected.client;
        let asking = async {
            let (saved, prepared) = tokio::join!(
                client.batch_execute("savepoint brick_prepare"),
                client.prepare_typed(sql, asked.types())
            );
            saved?;
            match prepared {
                Ok(statement) => {
                    client.batch_execute("release brick_prepare").await?;
                    Ok(Ok(statement))
                }
                Err(error) if error.as_db_error().is_some() => {
                    let back = "rollback to brick_prepare; release brick_prepare";
                    client.batch_execute(back).await?;
                    Ok(Err(error))
                }
                Err(error) => Err(error),
            }
        };
        match self.wait(asking)? {
            Ok(statement) => Ok(Some(statement)),
            Err(error) if failure::is_untold(&error) => Ok(None),
            Err(error) => Err(failure::sorted(&error, &self.at)),
        }
    }

    /// Waits on this thread, which is no thread of the runtime.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
        let answer = async { tokio::time::timeout(ANSWER_FOR, answer).await };
        let outcome = match self.runtime.block_on(answer) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => failure::sorted(&error, &self.at),
            Err(_) => failure::silent(&self.at, ANSWER_FOR),
        };
        if matches!(outcome, Error::Lost { .. }) {
            self.lost.set(true);
        }
        Err(outcome)
    }
}

/// Whether the values are as many as the parameters, and the statement is one that a closure may run.
fn check(sql: &str, params: &[Param]) -> Result<(), Error> {
    if let Some(reason) = text::misfit(sql, params.len()) {
        return Err(misfit(sql, reason));
    }
    if ENDS.contains(&Summary::of(sql).operation.as_str()) {
        let reason = "the transaction is begun and ended around the closure";
        return Err(misfit(sql, reason.to_owned()));
    }
    Ok(())
}

fn misfit(sql: &str, reason: String) -> Error {
    Error::Parameters {
        reason,
        sql: sql.trim().to_owned(),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
