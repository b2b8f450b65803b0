//! The database: closures that read and write, whichever engine is behind.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing::{Dispatch, Span};

use crate::lead::Lead;
use crate::notify::Listener;
use crate::{Error, Migration, Reader, Tx, notify, postgres, sqlite};

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:/path/file.db`, `sqlite::memory:` or `postgres://user:password@host:port/database`.
    ///
    /// PostgreSQL's URL takes `sslmode` (`disable`; `require` and `verify-full`, both of which verify the server's
    /// certificate and name), `sslrootcert` (a file of authorities to trust beside the machine's), `schema` (where the
    /// tables are, made where missing) and what libpq calls `application_name`, `connect_timeout` and `options`.
    /// Without `sslmode` a server on this machine is spoken to in the clear, every other one by TLS.
    pub url: String,
    /// The schema, step by step.
    pub migrations: &'static [Migration],
    /// Reading connections to SQLite, 1 to 16.
    pub readers: usize,
    /// Connections to PostgreSQL, 1 to 64: as many closures run at once.
    pub connections: usize,
    /// Rows that one query may return.
    pub rows_max: usize,
}

/// What the database has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Commits, each of one or (SQLite) many closures.
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
    engine: Engine,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(Box<postgres::Engine>),
}

/// What was done so far, as the engines count it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) undone: AtomicU64,
    pub(crate) commit_ns: AtomicU64,
}

/// Span and subscriber of whoever asked, for the closure that runs on another thread.
#[derive(Debug)]
pub(crate) struct Caller {
    span: Span,
    dispatch: Dispatch,
}

impl Options {
    /// With three readers (SQLite) or eight connections (PostgreSQL), and at most 100,000 rows a query.
    pub fn new(url: impl Into<String>, migrations: &'static [Migration]) -> Self {
        Self {
            url: url.into(),
            migrations,
            readers: 3,
            connections: 8,
            rows_max: 100_000,
        }
    }
}

impl Database {
    /// Opens the database and brings its schema forward; a file is made where missing. Several processes may have the
    /// same one open, and may start at the same moment.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let counters = Arc::new(Counters::default());
        let engine = if postgres::is_url(&options.url) {
            let opened = postgres::Engine::open(&options, &counters).await?;
            Engine::Postgres(Box::new(opened))
        } else {
            let counted = Arc::clone(&counters);
            Engine::Sqlite(blocking(move || sqlite::Engine::open(&options, &counted)).await??)
        };
        Ok(Self(Arc::new(Inner { engine, counters })))
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
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.read(closure).await,
            Engine::Postgres(engine) => engine.read(closure).await,
        }
    }

    /// Runs a closure that reads and writes. `Ok` means that its changes are on disk. Where it fails or panics its
    /// changes are undone, and those of no other.
    ///
    /// On SQLite it is alone with the database. On PostgreSQL others write at the same time, and each statement sees
    /// what they have committed by then (read committed): say conditions in the statement that writes
    /// (`update … where stock >= $1`), or have those that must not meet take turns by [`Tx::lock`]. There, too, a failed
    /// statement undoes the whole closure, even one that goes on: ask for `on conflict do nothing` instead of catching
    /// the violation.
    ///
    /// A caller that goes away before its turn has its closure left out.
    pub async fn write<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.write(closure).await,
            Engine::Postgres(engine) => engine.write(closure).await,
        }
    }

    /// Hears what [`Tx::notify`] says on the channel; [`Heard::Lost`](crate::Heard::Lost) first, once it listens. A
    /// server that cannot be reached is tried until it can. See [`crate::notify`]. To be called within tokio's runtime.
    pub fn listen(&self, channel: &str) -> Result<Listener, Error> {
        notify::check(channel, "")?;
        Ok(match &self.0.engine {
            Engine::Sqlite(engine) => engine.listeners().listen(channel),
            Engine::Postgres(engine) => engine.listen(channel)?,
        })
    }

    /// Takes the lead that `key` names where nobody has it; none where somebody does. See [`crate::lead`].
    pub async fn try_lead(&self, key: &str) -> Result<Option<Lead>, Error> {
        match &self.0.engine {
            Engine::Sqlite(_) => Ok(Some(Lead::granted())),
            Engine::Postgres(engine) => engine.try_lead(key).await,
        }
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
            queued: match &self.0.engine {
                Engine::Sqlite(engine) => engine.queued(),
                Engine::Postgres(engine) => engine.queued(),
            },
            commit_time: Duration::from_nanos(counters.commit_ns.load(Relaxed)),
        }
    }

    /// Name in spans and metrics: the file's stem, `memory`, or PostgreSQL's database (`database|schema`).
    pub fn namespace(&self) -> &str {
        match &self.0.engine {
            Engine::Sqlite(engine) => &engine.context().namespace,
            Engine::Postgres(engine) => &engine.context().namespace,
        }
    }

    /// Whether other processes, on other machines too, may have the same database open: true on PostgreSQL.
    pub fn is_shared(&self) -> bool {
        matches!(self.0.engine, Engine::Postgres(_))
    }
}

impl Counters {
    pub(crate) fn committed(&self, took: Duration) {
        self.commits.fetch_add(1, Relaxed);
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.commit_ns.fetch_add(took, Relaxed);
    }
}

impl Caller {
    pub(crate) fn current() -> Self {
        Self {
            span: Span::current(),
            dispatch: tracing::dispatcher::get_default(Dispatch::clone),
        }
    }

    /// Runs it as if where the caller is.
    pub(crate) fn call<T>(&self, f: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, || self.span.in_scope(f))
    }

    /// The same, with a panic as an error.
    pub(crate) fn caught<T>(&self, f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.call(|| std::panic::catch_unwind(AssertUnwindSafe(f)))
            .unwrap_or(Err(Error::Panicked))
    }
}

pub(crate) async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
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
