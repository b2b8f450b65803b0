//! Streams against the bus itself, without sockets.

use std::pin::pin;
use std::time::Duration;

use brick_auth::Claims;
use futures_util::{Stream, StreamExt as _};
use serde_json::json;

use super::*;
use crate::bus::view::Scope;
use crate::state::tests::trust;

const LIFE: Duration = Duration::from_secs(900);

fn bus(edit: impl FnOnce(&mut Options)) -> Arc<Bus> {
    let mut options = Options::new("shop", trust());
    edit(&mut options);
    let state = State {
        epoch: "e".to_owned(),
        ..State::default()
    };
    Arc::new(Bus::new(&options, &state))
}

fn everything() -> View {
    let claims = Claims {
        scope: "admin".to_owned(),
        ..Claims::default()
    };
    View::new(Scope::of(&claims), Vec::new()).unwrap()
}

fn put(revision: u64) -> Published {
    Published::Put(Arc::new(Resource {
        name: format!("endpoints/b{}", revision % 3),
        revision,
        value: json!({ "r": revision }),
    }))
}

/// Reads as a client would until `reached`, or the end of the stream.
async fn events(
    stream: impl Stream<Item = Result<Bytes, std::convert::Infallible>>,
    reached: u64,
) -> Vec<sse::Event> {
    let mut stream = pin!(stream);
    let (mut parser, mut events) = (sse::Parser::default(), Vec::new());
    while let Some(Ok(piece)) = stream.next().await {
        events.extend(parser.feed(&piece).unwrap());
        let cursor = events
            .last()
            .and_then(|event: &sse::Event| event.id.parse::<Cursor>().ok());
        if cursor.is_some_and(|cursor| cursor.revision >= reached) {
            break;
        }
    }
    events
}

fn revisions(events: &[sse::Event]) -> Vec<u64> {
    let cursors = events.iter().filter_map(|event| event.id.parse::<Cursor>().ok());
    cursors.map(|cursor| cursor.revision).collect()
}

fn cursor(revision: u64) -> Option<Cursor> {
    let epoch = everything().epoch("e");
    Some(Cursor { epoch, revision })
}

#[tokio::test]
async fn a_hundred_subscribers_share_one_encoding() {
    let bus = bus(|_| {});
    let mut subscriptions: Vec<Subscription> = (0..100)
        .map(|_| bus.subscribe(everything(), None, None).unwrap())
        .collect();
    bus.publish(&[put(1)]).unwrap();
    let events: Vec<Arc<Encoded>> = subscriptions
        .iter_mut()
        .map(|subscription| subscription.queue.try_recv().unwrap())
        .collect();
    assert!(
        events
            .iter()
            .all(|event| event.event.as_ptr() == events[0].event.as_ptr())
    );
    assert_eq!(bus.counts.changes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_resumed_stream_tells_every_change_once_and_in_order() {
    let bus = bus(|_| {});
    for revision in 1..=5 {
        bus.publish(&[put(revision)]).unwrap();
    }
    let resumed = bus.subscribe(everything(), cursor(2), None).unwrap();
    bus.publish(&[put(6), put(7)]).unwrap();
    let events = events(stream::body(resumed, LIFE), 7).await;
    assert_eq!(revisions(&events), [3, 4, 5, 6, 7]);
    assert!(events.iter().all(|event| event.event == "put"));
    assert_eq!(bus.counts.resumed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_cursor_that_does_not_hold_is_answered_by_reset_and_snapshot() {
    let bus = bus(|options| options.history_max = 3);
    for revision in 1..=10 {
        bus.publish(&[put(revision)]).unwrap();
    }
    let foreign = Some(Cursor {
        epoch: "other".to_owned(),
        revision: 9,
    });
    for (cursor, reason) in [
        (foreign, "unknown epoch"),
        (cursor(6), "compacted"),
        (cursor(11), "unknown revision"),
    ] {
        let subscription = bus.subscribe(everything(), cursor, None).unwrap();
        let events = events(stream::body(subscription, LIFE), 10).await;
        let kinds: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(kinds, ["reset", "snapshot"]);
        assert!(events[0].data.contains(reason), "{}", events[0].data);
        assert_eq!(revisions(&events), [10]);
    }
    let subscription = bus.subscribe(everything(), cursor(7), None).unwrap();
    let events = events(stream::body(subscription, LIFE), 10).await;
    assert_eq!(revisions(&events), [8, 9, 10]);
}

#[tokio::test]
async fn a_slow_subscriber_is_cut_off_and_misses_nothing_when_it_resumes() {
    let bus = bus(|options| options.queue_max = 2);
    let slow = bus.subscribe(everything(), None, None).unwrap();
    for revision in 1..=5 {
        bus.publish(&[put(revision)]).unwrap();
    }
    assert_eq!(
        (bus.subscribers(), bus.counts.cut.load(Ordering::Relaxed)),
        (0, 1)
    );
    let told = events(stream::body(slow, LIFE), u64::MAX).await;
    assert_eq!(revisions(&told), [0, 1, 2]);
    let resumed = bus.subscribe(everything(), cursor(2), None).unwrap();
    let rest = events(stream::body(resumed, LIFE), 5).await;
    assert_eq!(revisions(&rest), [3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_lives_as_long_as_its_token_and_shows_signs_of_life() {
    let bus = bus(|_| {});
    let subscription = bus.subscribe(everything(), None, None).unwrap();
    let stream = stream::body(subscription, Duration::from_secs(12));
    let pieces: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
    let heartbeats = pieces.iter().filter(|piece| **piece == sse::heartbeat()).count();
    assert_eq!((pieces.len(), heartbeats), (5, 3));
    assert_eq!(bus.subscribers(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_known_when_the_transport_asks_for_more() {
    let bus = bus(|_| {});
    let one = bus.subscribe(everything(), None, None).unwrap();
    let mut body = pin!(stream::body(one, LIFE));
    let limit = Duration::from_secs(1);
    bus.publish(&[put(1)]).unwrap();
    let told = async |revision| {
        tokio::time::timeout(limit, bus.sent("endpoints/b1", revision))
            .await
            .is_ok()
    };
    assert!(!told(1).await);
    for _ in 0..5 {
        body.next().await;
    }
    // Five pieces: heartbeat, id and snapshot, id and change. The last counts when a sixth is asked for.
    assert!(!told(1).await);
    assert!(tokio::time::timeout(limit, body.next()).await.is_err());
    assert!(told(1).await);
    assert!(told(0).await);
}

#[tokio::test]
async fn too_many_subscribers_and_those_after_the_end_are_refused() {
    let bus = bus(|options| options.subscribers_max = 1);
    let first = bus.subscribe(everything(), None, None).unwrap();
    assert!(matches!(
        bus.subscribe(everything(), None, None),
        Err(Ok(Refused::Full))
    ));
    drop(first);
    assert!(bus.subscribe(everything(), None, None).is_ok());
    bus.close();
    assert!(matches!(
        bus.subscribe(everything(), None, None),
        Err(Ok(Refused::Stopping))
    ));
}

/// A subscriber that reads now and then, and loses its stream now and then.
struct Reader {
    publisher: brick_bus::Publisher,
    watch: brick_bus::Watch,
    stream: Option<(Subscription, sse::Parser)>,
    cursor: Option<Cursor>,
}

impl Reader {
    fn new() -> Self {
        let (publisher, watch) = brick_bus::watch::channel();
        Self {
            publisher,
            watch,
            stream: None,
            cursor: None,
        }
    }

    /// Opens the stream where it has none, and takes so many pieces of what waits.
    fn read(&mut self, bus: &Arc<Bus>, pieces: usize, truth: &Truth) {
        let cursor = self.cursor.clone();
        let (subscription, parser) = self.stream.get_or_insert_with(|| {
            let subscription = bus.subscribe(everything(), cursor, None).unwrap();
            (subscription, sse::Parser::default())
        });
        let (mut events, mut cut) = (Vec::new(), false);
        for _ in 0..pieces {
            if let Some(piece) = subscription.first.pop_front() {
                events.extend(parser.feed(&piece).unwrap());
                continue;
            }
            match subscription.queue.try_recv() {
                Ok(change) => {
                    events.extend(
                        parser
                            .feed(&id_line(&subscription.epoch, change.revision))
                            .unwrap(),
                    );
                    events.extend(parser.feed(&change.event).unwrap());
                }
                Err(mpsc::error::TryRecvError::Disconnected) => cut = true,
                Err(mpsc::error::TryRecvError::Empty) => {}
            }
        }
        if cut {
            self.stream = None;
        }
        for event in events {
            self.take(&event, truth);
        }
    }

    fn take(&mut self, event: &sse::Event, truth: &Truth) {
        let Some(change) = Change::decode(&event.event, &event.data).unwrap() else {
            return;
        };
        let reached = event.id.parse::<Cursor>().ok();
        let whole = matches!(change, Change::Snapshot(_));
        let is_reset = matches!(change, Change::Reset { .. });
        self.publisher.apply(change, reached.clone());
        if is_reset {
            return;
        }
        let (before, now) = (self.cursor.take(), reached.unwrap());
        if let (Some(before), false) = (&before, whole) {
            assert_eq!(now.revision, before.revision + 1, "in order, and none is missed");
        }
        let told: BTreeMap<String, u64> = self
            .watch
            .state()
            .resources
            .iter()
            .map(|(name, resource)| (name.clone(), resource.revision))
            .collect();
        assert_eq!(
            told,
            truth[usize::try_from(now.revision).unwrap()],
            "what is held is one moment's truth"
        );
        self.cursor = Some(now);
    }
}

/// The resources with their revisions, after each revision.
type Truth = Vec<BTreeMap<String, u64>>;

proptest::proptest! {
    #[test]
    fn no_subscriber_applies_a_version_out_of_order_or_misses_one(
        steps in proptest::collection::vec((0..3_usize, 0..6_u8, 0..9_usize), 1..120),
    ) {
        let bus = bus(|options| (options.history_max, options.queue_max) = (8, 5));
        let mut truth: Truth = vec![BTreeMap::new()];
        let mut readers: Vec<Reader> = (0..3).map(|_| Reader::new()).collect();
        for (who, what, number) in steps {
            let revision = truth.len() as u64;
            let name = format!("endpoints/b{who}");
            let mut next = truth[truth.len() - 1].clone();
            match what {
                0..=2 => {
                    next.insert(name.clone(), revision);
                    let value = json!({ "r": revision });
                    bus.publish(&[Published::Put(Arc::new(Resource { name, revision, value }))]).unwrap();
                    truth.push(next);
                }
                3 if next.remove(&name).is_some() => {
                    bus.publish(&[Published::Delete { name, revision }]).unwrap();
                    truth.push(next);
                }
                4 => readers[who].stream = None,
                _ => readers[who].read(&bus, number, &truth),
            }
        }
        for reader in &mut readers {
            // A stream that was cut is opened once more; then all that waits is read.
            reader.read(&bus, 1_000, &truth);
            reader.read(&bus, 1_000, &truth);
            let cursor = reader.cursor.as_ref().unwrap();
            proptest::prop_assert_eq!(cursor.revision, truth.len() as u64 - 1);
        }
    }
}
