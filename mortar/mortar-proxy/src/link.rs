//! What a connection's parts tell each other: guard (bytes), service (requests) and bodies share one [`Link`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::gate::Client;
use crate::listener::Slot;
use crate::timer::Timer;

/// One client connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Who is at the other end.
    pub(crate) peer: SocketAddr,
    /// Who asks, unless a trusted hop says otherwise.
    pub(crate) client: Client,
    /// Answers that were given completely, or given up.
    completed: AtomicU64,
    /// What became of an upgrade: see the constants.
    upgrade: AtomicU8,
    /// Why the body of the last request ended early.
    fault: AtomicU8,
    uploading: AtomicBool,
    /// The last answer said `Connection: close`, or the guard refused: unread input may be left.
    linger: AtomicBool,
    /// The guard's reader, where it waits for one of the above.
    reader: AtomicWaker,
    /// Lent to whoever waits in an exchange.
    timer: Mutex<Timer>,
    /// Of a connection that serves one request at a time.
    _slot: Option<Slot>,
}

const UNDECIDED: u8 = 0;
const GRANTED: u8 = 1;
const DENIED: u8 = 2;

/// Why the body of a request ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// It did not.
    None = 0,
    /// It is larger than the route takes.
    TooLarge = 1,
    /// Its framing is malformed.
    Framing = 2,
    /// The client went away.
    Gone = 3,
}

impl Link {
    pub(crate) fn new(peer: SocketAddr, client: Client, slot: Option<Slot>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            client,
            completed: AtomicU64::new(0),
            upgrade: AtomicU8::new(UNDECIDED),
            fault: AtomicU8::new(0),
            uploading: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            timer: Mutex::default(),
            _slot: slot,
        })
    }

    /// An answer was given completely, or given up.
    pub(crate) fn complete(&self) {
        self.completed.fetch_add(1, Ordering::AcqRel);
        self.reader.wake();
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Acquire)
    }

    /// Decides on the upgrade that a head asked for.
    pub(crate) fn decide(&self, granted: bool) {
        self.upgrade
            .store(if granted { GRANTED } else { DENIED }, Ordering::Release);
        self.reader.wake();
    }

    /// Takes the decision, once.
    pub(crate) fn decision(&self) -> Option<bool> {
        match self.upgrade.swap(UNDECIDED, Ordering::AcqRel) {
            GRANTED => Some(true),
            DENIED => Some(false),
            _ => None,
        }
    }

    /// Wakes this reader at the next of [`Self::complete`] and [`Self::decide`].
    pub(crate) fn wake_reader(&self, waker: &std::task::Waker) {
        self.reader.register(waker);
    }

    /// The first fault counts; a connection ends with it.
    pub(crate) fn set_fault(&self, fault: Fault) {
        let _ = self
            .fault
            .compare_exchange(0, fault as u8, Ordering::AcqRel, Ordering::Relaxed);
        if fault != Fault::Gone {
            self.linger.store(true, Ordering::Release);
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self.fault.load(Ordering::Acquire) {
            1 => Fault::TooLarge,
            2 => Fault::Framing,
            3 => Fault::Gone,
            _ => Fault::None,
        }
    }

    /// Whether the client still owes a part of the current request's body.
    pub(crate) fn is_uploading(&self) -> bool {
        self.uploading.load(Ordering::Acquire)
    }

    pub(crate) fn set_uploading(&self, uploading: bool) {
        self.uploading.store(uploading, Ordering::Release);
    }

    /// Takes the connection's timer; a new one where it is lent already.
    pub(crate) fn lend_timer(&self) -> Timer {
        std::mem::take(&mut *self.timer.lock())
    }

    /// Gives it back.
    pub(crate) fn return_timer(&self, timer: Timer) {
        *self.timer.lock() = timer;
    }

    /// Input may be left unread when the connection closes.
    pub(crate) fn set_linger(&self) {
        self.linger.store(true, Ordering::Release);
    }

    pub(crate) fn linger(&self) -> bool {
        self.linger.load(Ordering::Acquire)
    }
}
