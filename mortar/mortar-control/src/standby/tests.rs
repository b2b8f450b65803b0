//! Two processes of control on one real PostgreSQL, without the sockets between them.

use std::collections::BTreeMap;
use std::pin::pin;

use brick_auth::Claims;
use brick_bus::{Change, Cursor, Watch};
use brick_core::Incarnation;
use brick_state::Database;
use brick_wire::sse;
use futures_util::Stream;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::bus::stream;
use crate::bus::view::{Scope, View};
use crate::state::Action;
use crate::state::tests::{registered, trust};
use crate::store::Sql;
use crate::{Handle, Service};

const LIFE: Duration = Duration::from_secs(900);
const LIMIT: Duration = Duration::from_secs(30);

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn store(url: &str) -> (Sql, Database) {
    let db = Database::open(brick_state::Options::new(url, &[])).await.unwrap();
    (Sql::open(db.clone()).await.unwrap(), db)
}

fn verifier() -> Verifier {
    Verifier::new(Watch::fixed(Vec::new()))
}

fn telemetry() -> Telemetry {
    Telemetry::new(brick_telemetry::Options::default()).0
}

async fn lead(store: &Sql, stood_by: Option<Standby>) -> (Handle, JoinHandle<()>) {
    let options = Options::new("shop", trust());
    let store = Arc::new(store.clone());
    let opened = Service::take_over(stood_by, options, store, verifier(), &telemetry()).await;
    let (service, handle) = opened.unwrap();
    (handle, tokio::spawn(service.run(Drain::never())))
}

async fn stand_by(store: &Sql, port: u16) -> Standby {
    let options = Options::new("shop", trust());
    let (telemetry, store) = (telemetry(), Arc::new(store.clone()));
    let opened = Standby::open(&options, store, verifier(), at(port), &telemetry);
    opened.await.unwrap()
}

fn everything() -> View {
    let claims = Claims {
        scope: "admin".to_owned(),
        ..Claims::default()
    };
    View::new(Scope::of(&claims), Vec::new()).unwrap()
}

/// Ends every session that holds a lead of this database, as a cut connection does.
async fn cut_leads(db: &Database) {
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'brickwork lead' and datname = current_database()";
    db.write(move |tx| tx.query(cut, &[], |_| Ok(())).map(drop))
        .await
        .unwrap();
}

/// What a subscriber holds after it followed a bus until `reached`; panics where a revision comes out of order.
async fn followed(
    bus: &Arc<Bus>,
    mut held: (BTreeMap<String, Value>, Option<Cursor>),
    reached: u64,
) -> (BTreeMap<String, Value>, Option<Cursor>) {
    let resumes = held.1.is_some();
    let subscription = bus.subscribe(everything(), held.1.clone(), None).unwrap();
    let body = stream::body(subscription, LIFE);
    let follow = follow(body, &mut held, reached, resumes);
    tokio::time::timeout(LIMIT, follow).await.expect("the bus tells");
    held
}

async fn follow(
    body: impl Stream<Item = Result<bytes::Bytes, std::convert::Infallible>>,
    (held, cursor): &mut (BTreeMap<String, Value>, Option<Cursor>),
    reached: u64,
    resumes: bool,
) {
    let mut body = pin!(body);
    let mut parser = sse::Parser::default();
    while cursor.as_ref().is_none_or(|cursor| cursor.revision < reached) {
        let piece = body.next().await.expect("the stream goes on").unwrap();
        for event in parser.feed(&piece).unwrap() {
            let Some(change) = Change::decode(&event.event, &event.data).unwrap() else {
                continue;
            };
            let next: Cursor = event.id.parse().unwrap();
            assert!(
                cursor.as_ref().is_none_or(|last| last.revision < next.revision),
                "{next:?} comes after {cursor:?}"
            );
            *cursor = Some(next);
            match change {
                Change::Snapshot(all) => {
                    assert!(!resumes, "nothing was missed, so nothing is told anew");
                    *held = all.into_iter().map(|one| (one.name, one.value)).collect();
                }
                Change::Put(one) => drop(held.insert(one.name, one.value)),
                Change::Delete { name, .. } => drop(held.remove(&name)),
                Change::Reset { reason } => panic!("reset: {reason}"),
            }
        }
    }
}

fn published(handle: &Handle) -> BTreeMap<String, Value> {
    let state = handle.state();
    let all = state.resources.values();
    all.map(|one| (one.name.clone(), one.value.clone())).collect()
}

/// Instances come and go: resources are made, changed and removed.
async fn churn(handle: &Handle, rounds: u32) {
    let mut last = None;
    for round in 0..rounds {
        let brick = ["order", "payment", "stock"][round as usize % 3];
        let one = Incarnation::new();
        handle
            .wish(Action::Register(registered(brick, 1 + round % 2, one)))
            .await
            .unwrap();
        if let Some(before) = last.replace(one).filter(|_| round % 4 == 0) {
            handle.wish(Action::Remove(before)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn subscribers_go_from_one_process_to_another_and_miss_nothing_when_the_leader_dies() {
    let url = private_postgres::database();
    let (first, db) = store(&url).await;
    assert!(first.lead(at(1)).await.unwrap());
    let (leader, running) = lead(&first, None).await;
    let (second, _) = store(&url).await;
    assert!(!second.lead(at(2)).await.unwrap(), "one leads");
    let standby = Arc::new(stand_by(&second, 2).await);
    assert_eq!(standby.leader.at(), Some(at(1)));
    let following = {
        let standby = Arc::clone(&standby);
        tokio::spawn(async move { standby.run(Drain::never()).await })
    };
    let bus = Arc::clone(&standby.watching.bus);

    let mut held = (BTreeMap::new(), None);
    for round in 0..6 {
        churn(&leader, 10).await;
        // From one to the other and back, each time where it stopped.
        let from = if round % 2 == 0 { &bus } else { leader.bus() };
        held = followed(from, held, leader.revision()).await;
        assert_eq!(held.0, published(&leader), "round {round}");
    }

    running.abort();
    cut_leads(&db).await;
    assert!(
        tokio::time::timeout(LIMIT, following).await.unwrap().unwrap(),
        "it leads"
    );
    let standby = Arc::into_inner(standby).expect("nobody else has it");
    let (heir, _running) = lead(&second, Some(standby)).await;
    assert_eq!(heir.revision(), leader.revision());
    churn(&heir, 10).await;
    held = followed(&bus, held, heir.revision()).await;
    assert_eq!(held.0, published(&heir));
    assert_eq!(
        heir.state().instances.len(),
        published(&heir)
            .iter()
            .filter(|(name, _)| name.starts_with("endpoints/"))
            .map(|(_, value)| value["instances"].as_array().unwrap().len())
            .sum::<usize>(),
        "what was registered with the first is known to the second"
    );
}

#[tokio::test]
async fn who_lost_the_lead_saves_nothing_and_hears_of_it() {
    let url = private_postgres::database();
    let (first, db) = store(&url).await;
    assert!(first.lead(at(1)).await.unwrap());
    let (leader, _running) = lead(&first, None).await;
    churn(&leader, 3).await;
    let (second, _) = store(&url).await;
    cut_leads(&db).await;
    let taken = async { while !second.lead(at(2)).await.unwrap() {} };
    tokio::time::timeout(LIMIT, taken)
        .await
        .expect("the lead is free");

    let refused = leader
        .wish(Action::Register(registered("order", 9, Incarnation::new())))
        .await;
    let refused = brick_core::chain(&refused.unwrap_err());
    assert!(refused.contains("another control leads"), "{refused}");
    tokio::time::timeout(LIMIT, first.deposed())
        .await
        .expect("it hears of it");
    assert_eq!(second.leader().await.unwrap(), Some(at(2)));
    let state = second.load().await.unwrap();
    assert!(state.instances.values().all(|one| one.instance.slot != 9));
}

#[tokio::test]
async fn a_lead_that_nobody_else_took_is_taken_back() {
    let url = private_postgres::database();
    let (first, db) = store(&url).await;
    assert!(first.lead(at(1)).await.unwrap());
    let (leader, _running) = lead(&first, None).await;
    let keeping = tokio::spawn({
        let first = first.clone();
        async move { first.deposed().await }
    });
    // The session that holds the lock, by its process.
    let holder = async || {
        let sql = "select pid from pg_locks where locktype = 'advisory' and granted
            and database = (select oid from pg_database where datname = current_database())";
        let found = db.read(move |reader| reader.query_one(sql, &[], |row| row.get::<i64>(0)));
        found.await.unwrap()
    };
    let before = holder().await;
    assert!(before.is_some());
    cut_leads(&db).await;
    let back = async {
        while holder().await.is_none_or(|pid| Some(pid) == before) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, back).await.expect("it asks again");
    let (other, _) = store(&url).await;
    assert!(!other.lead(at(2)).await.unwrap());
    churn(&leader, 2).await;
    assert!(!keeping.is_finished());
}

#[tokio::test]
async fn a_process_that_is_too_far_behind_begins_anew() {
    let url = private_postgres::database();
    let (first, _) = store(&url).await;
    let (leader, _running) = lead(&first, None).await;
    churn(&leader, 4).await;
    let since = first.since(0).await.unwrap();
    let changes = since.changes.unwrap();
    let revisions: Vec<u64> = changes.iter().map(crate::state::Published::revision).collect();
    assert!(revisions.is_sorted() && !revisions.is_empty());
    assert_eq!(since.revision, leader.revision());
    assert_eq!(
        first.since(leader.revision()).await.unwrap().changes,
        Some(Vec::new())
    );

    let bus = Arc::new(Bus::new(
        &Options::new("shop", trust()),
        &crate::state::State::default(),
    ));
    let subscription = bus.subscribe(everything(), None, None).unwrap();
    let upstream = Upstream {
        store: Arc::new(first.clone()),
        turn: Mutex::new(()),
    };
    upstream.catch_up(&bus).await.unwrap();
    assert_eq!(bus.position(), (leader.state().epoch.clone(), leader.revision()));
    assert_eq!(bus.subscribers(), 0, "of another epoch: it reads everything anew");
    drop(subscription);
    let held = followed(&bus, (BTreeMap::new(), None), leader.revision()).await;
    assert_eq!(held.0, published(&leader));
    assert_eq!(held.0["trust/bundle"], json!(published(&leader)["trust/bundle"]));
}

#[tokio::test]
async fn a_subscriber_that_is_ahead_of_who_stands_by_does_not_go_back_in_time() {
    let url = private_postgres::database();
    let (first, _) = store(&url).await;
    let (leader, _running) = lead(&first, None).await;
    let (second, _) = store(&url).await;
    // It never looks by itself.
    let standby = stand_by(&second, 2).await;
    churn(&leader, 6).await;
    let held = followed(leader.bus(), (BTreeMap::new(), None), leader.revision()).await;
    assert!(standby.watching.bus.position().1 < leader.revision());
    standby.watching.reach(held.1.as_ref()).await.unwrap();
    churn(&leader, 2).await;
    standby.look().await.unwrap();
    let held = followed(&standby.watching.bus, held, leader.revision()).await;
    assert_eq!(held.0, published(&leader));
}
