//! The writing thread: closures queue, and one commit makes all of a group durable.
//!
//! While one commit waits for the disk the next group gathers, so the cost of `fdatasync` is shared by as many writers
//! as there are. Each closure runs in a savepoint: its failure undoes it alone.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::database::{Caller, Counters};
use crate::notify::{Listeners, Notice};
use crate::statement::Context;
use crate::{Error, Migration, Tx, migration};

/// Closures that may wait; more callers wait for room.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Closures that share one commit at most.
const GROUP_MAX: usize = 256;

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
    caller: Caller,
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
            caller: Caller::current(),
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
        self.outcome = self.caller.caught(|| closure(tx)).map(Some);
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

/// Brings the schema of a component forward, in a transaction of its own.
pub(crate) fn migrate(
    connection: &mut Connection,
    context: &Context,
    component: &str,
    migrations: &[Migration],
) -> Result<(), Error> {
    let failed = |error| Error::sqlite(error, &context.at);
    let behaviour = rusqlite::TransactionBehavior::Immediate;
    let held = connection.transaction_with_behavior(behaviour).map_err(failed)?;
    let notices = RefCell::default();
    migration::apply(&Tx::sqlite(&held, context, &notices), component, migrations)?;
    held.commit().map_err(failed)
}

/// Runs until every sender is gone.
pub(crate) fn run(
    connection: &Connection,
    context: &Context,
    counters: &Arc<Counters>,
    told: &Listeners,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
) {
    let writer = Writer {
        connection,
        context,
        counters,
        told,
        notices: RefCell::default(),
    };
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            match jobs.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        writer.commit(group);
    }
}

struct Writer<'a> {
    connection: &'a Connection,
    context: &'a Context,
    counters: &'a Counters,
    told: &'a Listeners,
    /// What the group has to tell once it is committed.
    notices: RefCell<Vec<Notice>>,
}

impl Writer<'_> {
    fn commit(&self, group: Vec<Box<dyn Job>>) {
        let connection = self.connection;
        let failed = |error| Error::sqlite(error, &self.context.at);
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
            let kept = self.in_savepoint(job.as_mut());
            self.counters.writes.fetch_add(1, Relaxed);
            if kept.is_err() {
                self.counters.undone.fetch_add(1, Relaxed);
            }
            ran.push(job);
            if connection.is_autocommit() {
                // A full disk and its like end the whole transaction: those before in the group lost their changes too.
                let lost = kept
                    .err()
                    .unwrap_or_else(|| Error::Other("the transaction was ended by a closure".into()));
                self.notices.borrow_mut().clear();
                answer(&mut ran, &Err(lost));
            }
        }
        if connection.is_autocommit() {
            return;
        }
        let started = Instant::now();
        let committed = statement(connection, "COMMIT").map_err(failed);
        let notices = self.notices.take();
        if committed.is_err() {
            let _ = statement(connection, "ROLLBACK");
        } else {
            self.counters.committed(started.elapsed());
            notices.iter().for_each(|notice| self.told.tell(notice));
        }
        answer(&mut ran, &committed);
    }

    fn in_savepoint(&self, job: &mut dyn Job) -> Result<(), Error> {
        let connection = self.connection;
        let failed = |error| Error::sqlite(error, &self.context.at);
        statement(connection, "SAVEPOINT closure").map_err(failed)?;
        let before = self.notices.borrow().len();
        let kept = job.run(&Tx::sqlite(connection, self.context, &self.notices));
        if connection.is_autocommit() {
            return kept;
        }
        if kept.is_err() {
            self.notices.borrow_mut().truncate(before);
            statement(connection, "ROLLBACK TO closure").map_err(failed)?;
        }
        statement(connection, "RELEASE closure").map_err(failed)?;
        kept
    }
}

fn answer(jobs: &mut Vec<Box<dyn Job>>, group: &Result<(), Error>) {
    for job in jobs.drain(..) {
        job.finish(group.clone());
    }
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(drop)
}
