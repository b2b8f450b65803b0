//! The writer on a store that remembers, and that can fail.

use std::net::SocketAddr;
use std::sync::Mutex;

use brick_auth::Verifier;
use brick_bus::Watch;
use brick_core::Incarnation;
use brick_telemetry::Telemetry;
use futures_util::future::{BoxFuture, join_all, ready};
use futures_util::stream::BoxStream;

use super::*;
use crate::state::tests::{registered, trust};
use crate::store::Since;
use crate::{Handle, Service};

#[derive(Default)]
struct Recording {
    saved: Mutex<Vec<Batch>>,
    fails: AtomicBool,
}

impl Store for Recording {
    fn load(&self) -> BoxFuture<'_, Result<State, Error>> {
        Box::pin(ready(Ok(State::default())))
    }

    fn save(&self, batch: Batch) -> BoxFuture<'_, Result<(), Error>> {
        if self.fails.load(Ordering::Relaxed) {
            let full = brick_state::Error::rollback("the disk is full");
            return Box::pin(ready(Err(full.into())));
        }
        self.saved.lock().unwrap().push(batch);
        Box::pin(ready(Ok(())))
    }

    fn audited(&self, _: crate::Filter) -> BoxFuture<'_, Result<Vec<crate::audit::Numbered>, Error>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn account(&self, _: Vec<crate::Use>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    fn used(&self, _: String) -> BoxFuture<'_, Result<Vec<crate::Use>, Error>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn since(&self, _: u64) -> BoxFuture<'_, Result<Since, Error>> {
        Box::pin(ready(Ok(Since::default())))
    }

    fn news(&self) -> BoxStream<'static, ()> {
        Box::pin(futures_util::stream::pending())
    }

    fn lead(&self, _: SocketAddr) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(ready(Ok(true)))
    }

    fn deposed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn leader(&self) -> BoxFuture<'_, Result<Option<SocketAddr>, Error>> {
        Box::pin(ready(Ok(None)))
    }
}

async fn control(store: &Arc<Recording>) -> Handle {
    let (telemetry, _exporter) = Telemetry::new(brick_telemetry::Options::default());
    let verifier = Verifier::new(Watch::fixed(Vec::new()));
    let store = Arc::clone(store) as Arc<dyn Store>;
    let options = Options::new("shop", trust());
    let (service, handle) = Service::open(options, store, verifier, &telemetry).await.unwrap();
    tokio::spawn(service.run(Drain::never()));
    handle
}

fn register(slot: u32) -> Action {
    Action::Register(registered("order", slot, Incarnation::new()))
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_moment_share_a_commit_and_a_revision() {
    let store = Arc::new(Recording::default());
    let handle = control(&store).await;
    let wishes = (1..=20).map(|slot| handle.wish(register(slot)));
    let outcomes = join_all(wishes).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.as_ref().is_ok_and(|state| state.revision == 2))
    );
    let saved = store.saved.lock().unwrap();
    assert_eq!(
        saved.len(),
        2,
        "the trust bundle at start, then everything at once"
    );
    assert_eq!(
        (saved[1].instances.len(), saved[1].put.len(), saved[1].revision),
        (20, 1, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_made_and_is_told() {
    let store = Arc::new(Recording::default());
    let handle = control(&store).await;
    store.fails.store(true, Ordering::Relaxed);
    let refused = handle.wish(register(1)).await.unwrap_err();
    assert!(matches!(refused, Error::Store(_)));
    assert_eq!((handle.revision(), handle.state().instances.len()), (1, 0));
    assert!(!handle.store_works());
    store.fails.store(false, Ordering::Relaxed);
    assert!(handle.wish(register(1)).await.is_ok());
    assert_eq!((handle.revision(), handle.store_works()), (2, true));
}

#[tokio::test(start_paused = true)]
async fn one_refused_wish_does_not_undo_its_neighbours() {
    let store = Arc::new(Recording::default());
    let handle = control(&store).await;
    let (older, newer) = (Incarnation::new(), Incarnation::new());
    let outcomes = join_all([
        handle.wish(Action::Register(registered("order", 1, newer))),
        handle.wish(Action::Register(registered("order", 1, older))),
    ])
    .await;
    assert!(outcomes[0].is_ok());
    assert!(matches!(outcomes[1], Err(Error::Fenced { .. })));
}
