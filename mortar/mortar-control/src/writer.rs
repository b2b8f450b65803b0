//! The one writer: takes wishes in order, stores what they change in one commit, then tells the world.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brick_bus::TrustBundle;
use brick_core::Drain;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use crate::audit::Entry;
use crate::bus::Bus;
use crate::eureka::recent::Recent;
use crate::lease::Leases;
use crate::options::OnManifest;
use crate::state::{Action, State};
use crate::store::{Batch, Store};
use crate::{Error, Options, config};

/// Wishes that may wait; callers wait beyond that.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Wishes that share a commit at most.
const BATCH_MAX: usize = 256;

/// A wish and where its outcome goes: the state that it is part of, on disk and told.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) action: Action,
    /// What is written down of it.
    pub(crate) entry: Option<Box<Entry>>,
    pub(crate) answer: oneshot::Sender<Result<Arc<State>, Error>>,
}

/// What everybody reads.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<Arc<State>>,
    store_works: AtomicBool,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) recent: Arc<Recent>,
    pub(crate) queue: mpsc::Receiver<Wish>,
    pub(crate) system: String,
    pub(crate) trust: TrustBundle,
    pub(crate) coalesce: Duration,
    pub(crate) on_manifest: Option<OnManifest>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: RwLock::new(Arc::new(state)),
            store_works: AtomicBool::new(true),
        }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    /// Whether the last commit succeeded.
    pub(crate) fn store_works(&self) -> bool {
        self.store_works.load(Ordering::Relaxed)
    }
}

/// Brings what was stored in line with this program and these options, before anybody listens.
pub(crate) async fn settle(mut state: State, options: &Options, store: &dyn Store) -> Result<State, Error> {
    let old = state.clone();
    let keys = options.api_keys.as_ref().map(|keys| keys.borrow().clone());
    state.api_keys = keys.map(Arc::new);
    state.cipher.clone_from(&options.cipher);
    config::change::abort_undecided(&mut state);
    let changes = state.publish(&options.trust)?;
    config::history::record(&old, &mut state, &changes);
    let batch = Batch::between(&old, &state, &changes);
    if !batch.is_empty() {
        store.save(batch).await?;
    }
    Ok(state)
}

impl Writer {
    /// Until the drain is requested; wishes that wait then are still granted.
    pub(crate) async fn run(mut self, drain: Drain) {
        loop {
            let first = tokio::select! {
                biased;
                wish = self.queue.recv() => wish,
                () = drain.requested() => break,
            };
            let Some(first) = first else { return };
            tokio::time::sleep(self.coalesce).await;
            let mut wishes = vec![first];
            while wishes.len() < BATCH_MAX
                && let Ok(wish) = self.queue.try_recv()
            {
                wishes.push(wish);
            }
            self.grant(wishes).await;
        }
        self.queue.close();
        let mut rest = Vec::new();
        while let Ok(wish) = self.queue.try_recv() {
            rest.push(wish);
        }
        self.grant(rest).await;
    }

    async fn grant(&self, wishes: Vec<Wish>) {
        let old = self.shared.state();
        let mut new = State::clone(&old);
        let mut granted = Vec::with_capacity(wishes.len());
        for Wish {
            action,
            entry,
            answer,
        } in wishes
        {
            match new.apply(action, &self.system) {
                Ok(()) => {
                    new.journal.extend(entry.map(|entry| Arc::new(*entry)));
                    granted.push(answer);
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        let outcome = self.commit(&old, new).await;
        if let Err(error) = &outcome {
            tracing::error!(
                error = brick_core::chain(error),
                "changes could not be stored and were not made"
            );
        }
        for answer in granted {
            drop(answer.send(outcome.clone()));
        }
    }

    /// Stores the difference, then shows and publishes it.
    async fn commit(&self, old: &State, mut new: State) -> Result<Arc<State>, Error> {
        let changes = new.publish(&self.trust)?;
        config::history::record(old, &mut new, &changes);
        let batch = Batch::between(old, &new, &changes);
        let manifest = batch.manifest.clone();
        if !batch.is_empty() {
            let saved = self.store.save(batch).await;
            self.shared.store_works.store(saved.is_ok(), Ordering::Relaxed);
            saved?;
        }
        new.journal.clear();
        let new = Arc::new(new);
        *self.shared.state.write() = Arc::clone(&new);
        self.leases.follow(old, &new);
        self.recent.follow(old, &new);
        self.bus.publish(&changes)?;
        if let (Some(model), Some(told)) = (manifest, &self.on_manifest) {
            told(&model);
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests;
