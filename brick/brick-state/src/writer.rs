//! The writing thread: closures queue, and one commit makes all of a group durable.
//!
//! While one commit waits for the disk the next group gathers, so the cost of `fdatasync` is shared by as many writers
//! as there are. Each closure runs in a savepoint: its failure undoes it alone.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tracing::{Dispatch, Span};

use crate::connection::Context;
use crate::{Error, Tx};

/// Closures that may wait; more callers wait for room.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Closures that share one commit at most.
const GROUP_MAX: usize = 256;

/// What the writing thread has done so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) undone: AtomicU64,
    pub(crate) commit_ns: AtomicU64,
}

/// A closure with the one who waits for it, its types hidden.
pub(crate) trait Job: Send {
    /// Nobody waits any more; it need not run.
    fn is_abandoned(&self) -> bool;
    /// Runs the closure; whether its changes are to stay.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error>;
    /// Answers: with the closure's own outcome where the group was committed, with the error where not.
    fn finish(self: Box<Self>, group: Result<(), Error>);
}

/// A [`Job`] of one closure, which runs in the caller's span and under the caller's subscriber.
pub(crate) struct Call<T, F> {
    closure: Option<F>,
    outcome: Result<Option<T>, Error>,
    answer: oneshot::Sender<Result<T, Error>>,
    span: Span,
    dispatch: Dispatch,
}

impl<T, F> Call<T, F>
where
    F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    T: Send + 'static,
{
    pub(crate) fn submit(closure: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, Error>>) {
        let (answer, receiver) = oneshot::channel();
        let call = Self {
            closure: Some(closure),
            outcome: Ok(None),
            answer,
            span: Span::current(),
            dispatch: tracing::dispatcher::get_default(Dispatch::clone),
        };
        (Box::new(call), receiver)
    }
}

impl<T, F> Job for Call<T, F>
where
    F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    T: Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        let Some(closure) = self.closure.take() else {
            return Err(Error::Closed);
        };
        let outcome = tracing::dispatcher::with_default(&self.dispatch, || {
            self.span
                .in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(|| closure(tx))))
        });
        self.outcome = outcome.unwrap_or(Err(Error::Panicked)).map(Some);
        self.outcome.as_ref().map(|_| ()).map_err(Error::clone)
    }

    fn finish(self: Box<Self>, group: Result<(), Error>) {
        let answer = match (self.outcome, group) {
            (Err(own), _) => Err(own),
            (Ok(_), Err(error)) => Err(error),
            (Ok(Some(value)), Ok(())) => Ok(value),
            (Ok(None), Ok(())) => Err(Error::Closed),
        };
        // Nobody may be waiting any more; the commit stands all the same.
        let _ = self.answer.send(answer);
    }
}

/// Runs until every sender is gone.
pub(crate) fn run(
    connection: &Connection,
    context: &Context,
    counters: &Arc<Counters>,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            match jobs.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        commit(connection, context, counters, group);
    }
}

fn commit(connection: &Connection, context: &Context, counters: &Counters, group: Vec<Box<dyn Job>>) {
    let failed = |error| Error::sqlite(error, &context.path);
    let mut ran: Vec<Box<dyn Job>> = Vec::with_capacity(group.len());
    for mut job in group {
        if job.is_abandoned() {
            continue;
        }
        if connection.is_autocommit()
            && let Err(error) = statement(connection, "BEGIN IMMEDIATE").map_err(failed)
        {
            job.finish(Err(error));
            continue;
        }
        let kept = in_savepoint(connection, context, job.as_mut());
        counters.writes.fetch_add(1, Relaxed);
        if kept.is_err() {
            counters.undone.fetch_add(1, Relaxed);
        }
        ran.push(job);
        if connection.is_autocommit() {
            // A full disk and its like end the whole transaction: those before in the group lost their changes too.
            let lost = kept
                .err()
                .unwrap_or_else(|| Error::Other("the transaction was ended by a closure".into()));
            answer(&mut ran, &Err(lost));
        }
    }
    if connection.is_autocommit() {
        return;
    }
    let started = Instant::now();
    let committed = statement(connection, "COMMIT").map_err(failed);
    if committed.is_err() {
        let _ = statement(connection, "ROLLBACK");
    } else {
        counters.commits.fetch_add(1, Relaxed);
        let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        counters.commit_ns.fetch_add(took, Relaxed);
    }
    answer(&mut ran, &committed);
}

fn answer(jobs: &mut Vec<Box<dyn Job>>, group: &Result<(), Error>) {
    for job in jobs.drain(..) {
        job.finish(group.clone());
    }
}

fn in_savepoint(connection: &Connection, context: &Context, job: &mut dyn Job) -> Result<(), Error> {
    let failed = |error| Error::sqlite(error, &context.path);
    statement(connection, "SAVEPOINT closure").map_err(failed)?;
    let kept = job.run(&Tx::new(connection, context));
    if connection.is_autocommit() {
        return kept;
    }
    if kept.is_err() {
        statement(connection, "ROLLBACK TO closure").map_err(failed)?;
    }
    statement(connection, "RELEASE closure").map_err(failed)?;
    kept
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(drop)
}
