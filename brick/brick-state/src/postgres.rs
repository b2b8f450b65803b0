//! PostgreSQL: a bounded pool of connections, each lent to one closure in one transaction.
//!
//! Closures are synchronous and run on blocking threads, as many at once as there are connections; each statement is
//! awaited there. Whatever may wait is bounded: connecting, a statement, a lock, an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database::{Caller, Counters, Options, blocking};
use crate::lead::Lead;
use crate::notify::Listener;
use crate::statement::Context;
use crate::{Error, Reader, Tx, migration, notify};

mod cells;
mod failure;
mod lead;
mod listen;
mod prepared;
mod schema;
mod session;
mod target;
mod text;
mod tls;

pub(crate) use cells::cell;
pub(crate) use session::Session;
use target::Target;

/// Others' commits show statement by statement.
const WRITE: &str = "begin isolation level read committed read write";
/// One moment for all statements.
const READ: &str = "begin isolation level repeatable read read only";

/// Whether this URL is PostgreSQL's.
pub(crate) fn is_url(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// A database on a server.
#[derive(Debug)]
pub(crate) struct Engine {
    target: Arc<Target>,
    context: Arc<Context>,
    counters: Arc<Counters>,
    pool: Arc<Mutex<Vec<Session>>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A connection with a transaction begun. Goes back into the pool once that has ended, and is closed otherwise.
struct Lent {
    session: Option<Session>,
    pool: Arc<Mutex<Vec<Session>>>,
    /// Given back after the connection.
    _permit: OwnedSemaphorePermit,
}

/// Counts one who waits, however the waiting ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Engine {
    pub(crate) async fn open(options: &Options, counters: &Arc<Counters>) -> Result<Self, Error> {
        let url = options.url.clone();
        let target = blocking(move || Target::parse(&url)).await??;
        let connections = options.connections.clamp(1, 64);
        let engine = Self {
            context: Arc::new(Context {
                system: "postgresql",
                namespace: target.namespace(),
                at: target.at().to_owned(),
                server: Some(target.server()),
                rows_max: options.rows_max,
            }),
            target: Arc::new(target),
            counters: Arc::clone(counters),
            pool: Arc::default(),
            permits: Arc::new(Semaphore::new(connections)),
            waiting: AtomicUsize::new(0),
        };
        let (schema, migrations) = (engine.target.schema().map(str::to_owned), options.migrations);
        let lent = engine.lend(WRITE).await?;
        let (context, caller) = (Arc::clone(&engine.context), Caller::current());
        let prepare = move |tx: &Tx<'_>| {
            if let Some(schema) = schema {
                schema::ensure(tx, &schema)?;
            }
            tx.migrate(migration::APP, migrations)
        };
        blocking(move || lent.write(&context, &Counters::default(), &caller, prepare)).await??;
        Ok(engine)
    }

    pub(crate) async fn read<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let lent = self.lend(READ).await?;
        let (context, caller) = (Arc::clone(&self.context), Caller::current());
        blocking(move || lent.read(&context, &caller, closure)).await?
    }

    pub(crate) async fn write<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let lent = self.lend(WRITE).await?;
        let (context, counters) = (Arc::clone(&self.context), Arc::clone(&self.counters));
        let caller = Caller::current();
        blocking(move || lent.write(&context, &counters, &caller, closure)).await?
    }

    pub(crate) fn listen(&self, channel: &str) -> Result<Listener, Error> {
        notify::check(&text::channel(self.target.schema(), channel), "")?;
        Ok(listen::listen(Arc::clone(&self.target), channel))
    }

    pub(crate) async fn try_lead(&self, key: &str) -> Result<Option<Lead>, Error> {
        lead::take(&self.target, key).await
    }

    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// A connection in which a transaction has begun. One that the server has closed meanwhile is replaced: nothing was
    /// asked on it, so nothing is asked twice.
    async fn lend(&self, begin: &str) -> Result<Lent, Error> {
        let waiting = Waiting::one(&self.waiting);
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| Error::Closed)?;
        drop(waiting);
        let lent = |session| Lent {
            session: Some(session),
            pool: Arc::clone(&self.pool),
            _permit: permit,
        };
        loop {
            let Some(mut session) = self.pool.lock().pop() else {
                break;
            };
            if session.begin(begin).await.is_ok() {
                return Ok(lent(session));
            }
        }
        let connected = self.target.connect(|_| {}).await?;
        let mut session = Session::new(connected, Handle::current(), &self.target);
        session.begin(begin).await?;
        Ok(lent(session))
    }
}

impl Lent {
    fn read<T>(
        mut self,
        context: &Context,
        caller: &Caller,
        closure: impl FnOnce(&Reader<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session.take().ok_or(Error::Closed)?;
        let outcome = caller.caught(|| closure(&Reader::postgres(&session, context)));
        if session.roll_back().is_ok() {
            self.session = Some(session);
        }
        outcome
    }

    fn write<T>(
        mut self,
        context: &Context,
        counters: &Counters,
        caller: &Caller,
        closure: impl FnOnce(&Tx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session.take().ok_or(Error::Closed)?;
        let outcome = caller.caught(|| closure(&Tx::postgres(&session, context)));
        // A statement that failed has undone everything, whatever the closure made of it.
        let outcome = outcome.and_then(|value| session.failure().map_or(Ok(value), Err));
        counters.writes.fetch_add(1, Relaxed);
        let ended = match &outcome {
            Ok(_) => {
                let started = Instant::now();
                let committed = session.commit();
                if committed.is_ok() {
                    counters.committed(started.elapsed());
                }
                committed
            }
            Err(_) => {
                counters.undone.fetch_add(1, Relaxed);
                session.roll_back()
            }
        };
        match (outcome, ended) {
            (outcome, Ok(())) => {
                self.session = Some(session);
                outcome
            }
            (Err(own), Err(_)) => Err(own),
            (Ok(_), Err(error)) => {
                counters.undone.fetch_add(1, Relaxed);
                // A refused commit has ended the transaction all the same.
                if !session.is_lost() {
                    self.session = Some(session);
                }
                Err(error)
            }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && session.is_idle()
        {
            self.pool.lock().push(session);
        }
    }
}

impl<'a> Waiting<'a> {
    fn one(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
