//! The database: one writer that groups commits, a few readers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::{Dispatch, Span};

use crate::connection::{Context, Place};
use crate::writer::{self, Call, Counters, Job};
use crate::{Error, Migration, Reader, Tx, migration};

/// Component that the brick's own migrations count for.
const APP: &str = "app";

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:/path/file.db` or `sqlite::memory:`.
    pub url: String,
    /// The schema, step by step.
    pub migrations: &'static [Migration],
    /// Reading connections, 1 to 16.
    pub readers: usize,
    /// Rows that one query may return.
    pub rows_max: usize,
}

/// What the database has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Commits, each of one or many closures.
    pub commits: u64,
    /// Closures that ran.
    pub writes: u64,
    /// Closures among them that were undone.
    pub undone: u64,
    /// Closures that wait now.
    pub queued: usize,
    /// Time spent in commits.
    pub commit_time: Duration,
}

/// A database. Cheap to clone; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: mpsc::Sender<Box<dyn Job>>,
    counters: Arc<Counters>,
    context: Arc<Context>,
    readers: Mutex<Vec<Connection>>,
    /// One permit for each reading connection; none where reads go through the writer.
    permits: Option<Arc<Semaphore>>,
}

/// A reading connection that goes back into the pool by itself, whatever the closure does.
struct Lent {
    connection: Option<Connection>,
    pool: Arc<Inner>,
    /// Given back after the connection.
    _permit: OwnedSemaphorePermit,
}

impl Options {
    /// With three readers and at most 100,000 rows a query.
    pub fn new(url: impl Into<String>, migrations: &'static [Migration]) -> Self {
        Self {
            url: url.into(),
            migrations,
            readers: 3,
            rows_max: 100_000,
        }
    }
}

impl Database {
    /// Opens or makes the database and brings its schema forward. Several processes may have the same file open.
    pub async fn open(options: Options) -> Result<Self, Error> {
        blocking(move || Self::open_now(&options)).await?
    }

    fn open_now(options: &Options) -> Result<Self, Error> {
        let place = Place::parse(&options.url)?;
        let context = Arc::new(Context {
            namespace: place.namespace(),
            path: place.path(),
            rows_max: options.rows_max,
        });
        let mut connection = place.open_writer()?;
        migration::migrate(&mut connection, &context.path, APP, options.migrations)?;
        let mut readers = Vec::new();
        for _ in 0..options.readers.clamp(1, 16) {
            readers.extend(place.open_reader()?);
        }
        let permits = (!readers.is_empty()).then(|| Arc::new(Semaphore::new(readers.len())));
        let counters = Arc::new(Counters::default());
        let (jobs, queue) = mpsc::channel(writer::QUEUE_MAX);
        let (for_writer, counted) = (Arc::clone(&context), Arc::clone(&counters));
        std::thread::Builder::new()
            .name(format!("sql-{}", context.namespace))
            .spawn(move || writer::run(&connection, &for_writer, &counted, queue))
            .map_err(|error| Error::Other(format!("cannot start the writing thread: {error}").into()))?;
        Ok(Self(Arc::new(Inner {
            jobs,
            counters,
            context,
            readers: Mutex::new(readers),
            permits,
        })))
    }

    /// Brings the schema of another component forward that shares this database, such as the sessions.
    pub async fn migrate(&self, component: &str, migrations: &'static [Migration]) -> Result<(), Error> {
        let component = component.to_owned();
        self.write(move |tx| tx.migrate(&component, migrations)).await
    }

    /// Runs a closure that reads; all its queries see the same moment, which is after every write that was answered.
    pub async fn read<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let Some(permits) = &self.0.permits else {
            return self.write(|tx| closure(tx)).await;
        };
        let permit = Arc::clone(permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let lent = Lent {
            connection: self.0.readers.lock().pop(),
            pool: Arc::clone(&self.0),
            _permit: permit,
        };
        let span = Span::current();
        let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
        blocking(move || {
            let connection = lent.connection.as_ref().ok_or(Error::Closed)?;
            let outcome = tracing::dispatcher::with_default(&dispatch, || {
                span.in_scope(|| at_one_moment(connection, &lent.pool.context, closure))
            });
            drop(lent);
            outcome
        })
        .await?
    }

    /// Runs a closure that reads and writes, alone with the database. `Ok` means that its changes are on disk. Where it
    /// fails or panics its changes are undone, and those of no other.
    ///
    /// A caller that goes away before its turn has its closure left out.
    pub async fn write<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (job, answer) = Call::submit(closure);
        self.0.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Whether the database answers: reads nothing, writes nothing, leaves no span.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(|_| Ok(())).await
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.counters;
        Stats {
            commits: counters.commits.load(Relaxed),
            writes: counters.writes.load(Relaxed),
            undone: counters.undone.load(Relaxed),
            queued: self.0.jobs.max_capacity() - self.0.jobs.capacity(),
            commit_time: Duration::from_nanos(counters.commit_ns.load(Relaxed)),
        }
    }

    /// Name in spans and metrics: the file's stem, or `memory`.
    pub fn namespace(&self) -> &str {
        &self.0.context.namespace
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.readers.lock().push(connection);
        }
    }
}

fn at_one_moment<T>(
    connection: &Connection,
    context: &Context,
    closure: impl FnOnce(&Reader<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |error| Error::sqlite(error, &context.path);
    let moment = connection.unchecked_transaction().map_err(failed)?;
    let outcome = closure(&Reader::new(connection, context));
    moment.rollback().map_err(failed)?;
    outcome
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(f).await.map_err(|error| {
        if error.is_panic() {
            Error::Panicked
        } else {
            Error::Closed
        }
    })
}

#[cfg(test)]
mod tests;
