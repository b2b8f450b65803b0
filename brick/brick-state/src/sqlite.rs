//! SQLite: one file, one writer that groups commits, a few readers.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::database::{Caller, Counters, Options, blocking};
use crate::notify::Listeners;
use crate::statement::Context;
use crate::{Error, Reader, Tx, migration};

mod connection;
pub(crate) mod statement;
mod writer;

use connection::Place;
use writer::{Call, Job};

/// A file, or a database in memory.
#[derive(Debug)]
pub(crate) struct Engine {
    jobs: mpsc::Sender<Box<dyn Job>>,
    context: Arc<Context>,
    readers: Arc<Mutex<Vec<Connection>>>,
    /// One permit for each reading connection; none where reads go through the writer.
    permits: Option<Arc<Semaphore>>,
    listeners: Arc<Listeners>,
}

/// A reading connection that goes back into the pool by itself, whatever the closure does.
struct Lent {
    connection: Option<Connection>,
    pool: Arc<Mutex<Vec<Connection>>>,
    /// Given back after the connection.
    _permit: OwnedSemaphorePermit,
}

impl Engine {
    pub(crate) fn open(options: &Options, counters: &Arc<Counters>) -> Result<Self, Error> {
        let place = Place::parse(&options.url)?;
        let context = Arc::new(Context {
            system: "sqlite",
            namespace: place.namespace(),
            at: place.path(),
            server: None,
            rows_max: options.rows_max,
        });
        let mut connection = place.open_writer()?;
        writer::migrate(&mut connection, &context, migration::APP, options.migrations)?;
        let mut readers = Vec::new();
        for _ in 0..options.readers.clamp(1, 16) {
            readers.extend(place.open_reader()?);
        }
        let permits = (!readers.is_empty()).then(|| Arc::new(Semaphore::new(readers.len())));
        let (jobs, queue) = mpsc::channel(writer::QUEUE_MAX);
        let listeners = Arc::new(Listeners::default());
        let (for_writer, counted, told) =
            (Arc::clone(&context), Arc::clone(counters), Arc::clone(&listeners));
        std::thread::Builder::new()
            .name(format!("sql-{}", context.namespace))
            .spawn(move || writer::run(&connection, &for_writer, &counted, &told, queue))
            .map_err(|error| Error::Other(format!("cannot start the writing thread: {error}").into()))?;
        Ok(Self {
            jobs,
            context,
            readers: Arc::new(Mutex::new(readers)),
            permits,
            listeners,
        })
    }

    pub(crate) async fn read<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let Some(permits) = &self.permits else {
            return self.write(|tx| closure(tx)).await;
        };
        let permit = Arc::clone(permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let lent = Lent {
            connection: self.readers.lock().pop(),
            pool: Arc::clone(&self.readers),
            _permit: permit,
        };
        let (caller, context) = (Caller::current(), Arc::clone(&self.context));
        blocking(move || {
            let connection = lent.connection.as_ref().ok_or(Error::Closed)?;
            let outcome = caller.call(|| at_one_moment(connection, &context, closure));
            drop(lent);
            outcome
        })
        .await?
    }

    pub(crate) async fn write<T, F>(&self, closure: F) -> Result<T, Error>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (job, answer) = Call::submit(closure);
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    pub(crate) fn queued(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.lock().push(connection);
        }
    }
}

fn at_one_moment<T>(
    connection: &Connection,
    context: &Context,
    closure: impl FnOnce(&Reader<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |error| Error::sqlite(error, &context.at);
    let moment = connection.unchecked_transaction().map_err(failed)?;
    let outcome = closure(&Reader::sqlite(connection, context));
    moment.rollback().map_err(failed)?;
    outcome
}
