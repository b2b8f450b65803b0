//! Notifications: a word from whoever wrote to whoever listens, delivered once the write is committed.
//!
//! [`Tx::notify`](crate::Tx::notify) says a payload on a channel; [`Database::listen`](crate::Database::listen) gives a
//! [`Listener`] that hears it, in the order of the commits. On PostgreSQL (`LISTEN`, `NOTIFY`) every process on the
//! same database and schema hears it (where the URL names a schema, the channel's name there is `schema.channel`), on SQLite the [`Database`](crate::Database) that wrote and its clones. A notification is a
//! hint and no record: whoever hears [`Heard::Lost`] reads the state again. That is what a listener hears first, once it
//! listens: from there on nothing is missed that is not said to be.
//!
//! ```
//! use brick_state::{Database, Heard, Options};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), brick_state::Error> {
//! let db = Database::open(Options::new("sqlite::memory:", &[])).await?;
//! let mut changes = db.listen("changes")?;
//! assert_eq!(changes.hear().await, Heard::Lost);
//! db.write(|tx| tx.notify("changes", "7")).await?;
//! assert_eq!(changes.hear().await, Heard::Payload("7".to_owned()));
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::Error;

/// Bytes of a payload at most; PostgreSQL's bound.
pub const PAYLOAD_BYTES_MAX: usize = 7_999;
/// Bytes of a channel's name at most; PostgreSQL's bound.
pub const CHANNEL_BYTES_MAX: usize = 63;
/// Notifications that wait for a slow listener; more, and it hears [`Heard::Lost`].
pub(crate) const WAITING_MAX: usize = 1_024;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A payload, as it was said.
    Payload(String),
    /// Some may have been missed: listening has begun, the connection was lost and stands again, or the listener was too
    /// slow.
    Lost,
}

/// A channel and what was said on it.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) channel: String,
    pub(crate) payload: String,
}

/// Hears one channel: a stream that never ends. Stops listening when dropped.
#[derive(Debug)]
pub struct Listener {
    mailbox: Arc<Mailbox>,
    /// What keeps the connection, where there is one.
    task: Option<JoinHandle<()>>,
}

/// What waits for a listener; bounded.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    listener: AtomicWaker,
}

#[derive(Debug, Default)]
struct Waiting {
    payloads: VecDeque<String>,
    lost: bool,
}

/// The listeners of one process.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<(String, Weak<Mailbox>)>>);

impl Listener {
    pub(crate) fn server(mailbox: Arc<Mailbox>, task: JoinHandle<()>) -> Self {
        let task = Some(task);
        Self { mailbox, task }
    }

    /// Waits for the next. May be cancelled without losing one.
    pub async fn hear(&mut self) -> Heard {
        std::future::poll_fn(|cx| self.mailbox.poll(cx)).await
    }
}

impl Stream for Listener {
    type Item = Heard;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        self.mailbox.poll(cx).map(Some)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Mailbox {
    pub(crate) fn put(&self, payload: String) {
        let mut waiting = self.waiting.lock();
        if waiting.payloads.len() == WAITING_MAX {
            // Whoever reads everything again needs none of them.
            waiting.payloads.clear();
            waiting.lost = true;
        } else {
            waiting.payloads.push_back(payload);
        }
        drop(waiting);
        self.listener.wake();
    }

    pub(crate) fn lose(&self) {
        self.waiting.lock().lost = true;
        self.listener.wake();
    }

    fn take(&self) -> Option<Heard> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.lost) {
            return Some(Heard::Lost);
        }
        waiting.payloads.pop_front().map(Heard::Payload)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Heard> {
        self.listener.register(cx.waker());
        self.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Listeners {
    pub(crate) fn listen(&self, channel: &str) -> Listener {
        let mailbox = Arc::new(Mailbox::default());
        mailbox.lose();
        let mut all = self.0.lock();
        all.retain(|(_, mailbox)| mailbox.strong_count() > 0);
        all.push((channel.to_owned(), Arc::downgrade(&mailbox)));
        let task = None;
        Listener { mailbox, task }
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        let all = self.0.lock();
        let own = all.iter().filter(|(channel, _)| *channel == notice.channel);
        for mailbox in own.filter_map(|(_, mailbox)| mailbox.upgrade()) {
            mailbox.put(notice.payload.clone());
        }
    }
}

/// Whether both are within the bounds that every engine has.
pub(crate) fn check(channel: &str, payload: &str) -> Result<(), Error> {
    if channel.is_empty() || channel.len() > CHANNEL_BYTES_MAX {
        return Err(Error::rollback(format!(
            "expected a channel's name of 1 to {CHANNEL_BYTES_MAX} bytes, found {}",
            channel.len()
        )));
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::rollback(format!(
            "expected a payload of at most {PAYLOAD_BYTES_MAX} bytes, found {}",
            payload.len()
        )));
    }
    Ok(())
}
