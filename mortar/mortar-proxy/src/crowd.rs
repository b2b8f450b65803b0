//! The connections of a worker, told together when it is time to finish, and when it is over.
//!
//! A connection looks at one atomic number whenever it is polled; it is woken where the number changes. That is
//! cheaper than waiting for a signal beside each read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// How a worker's connections are to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// They serve.
    Open = 0,
    /// They finish what is under way.
    Finish = 1,
    /// They end now.
    Over = 2,
}

/// The connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    stage: AtomicU8,
    next: AtomicU64,
    members: Mutex<HashMap<u64, Waker>>,
}

/// One of them; leaves when it is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    crowd: Arc<Crowd>,
    id: u64,
}

impl Crowd {
    /// Sets the stage and wakes everyone.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        for waker in self.members.lock().values() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Finish,
            _ => Stage::Over,
        }
    }

    /// A further member, which is woken through this task.
    pub(crate) fn join(self: &Arc<Self>, waker: &Waker) -> Member {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.members.lock().insert(id, waker.clone());
        Member {
            crowd: Arc::clone(self),
            id,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.members.lock().remove(&self.id);
    }
}
