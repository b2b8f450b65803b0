use super::*;
use crate::api;
use crate::record::Level;

fn log(message: &str) -> Log {
    Log {
        time_ns: 1,
        level: Level::Info,
        message: message.to_owned(),
        trace_id: [0; 16],
        span_id: 0,
        fields: Vec::new(),
    }
}

fn publish(hub: &Hub, messages: impl IntoIterator<Item = String>) {
    let resource = Resource::default();
    let mut publication = hub.publication(&resource);
    for (id, message) in messages.into_iter().enumerate() {
        publication.add(id as LogId, &log(&message));
    }
    publication.send();
}

fn messages(item: Item) -> Vec<String> {
    let Item::Records(records) = item else {
        panic!("records, not {item:?}")
    };
    let read = |record: &Arc<str>| serde_json::from_str::<api::Log>(record).unwrap().msg;
    records.iter().map(read).collect()
}

#[tokio::test]
async fn a_tail_gets_what_it_asked_for_in_one_batch() {
    let hub = Hub::default();
    let mut tail = hub
        .tail(LogFilter {
            text: Some("yes".to_owned()),
            ..LogFilter::default()
        })
        .unwrap();
    publish(&hub, ["no", "yes 1", "yes 2"].map(str::to_owned));
    assert_eq!(messages(tail.next().await), ["yes 1", "yes 2"]);
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_where_it_is_missing() {
    let hub = Hub::default();
    let mut tail = hub.tail(LogFilter::default()).unwrap();
    publish(&hub, (0..QUEUE_MAX + 7).map(|n| n.to_string()));
    let mut seen = messages(tail.next().await);
    publish(&hub, ["behind the gap".to_owned()]);
    while seen.len() < QUEUE_MAX {
        seen.extend(messages(tail.next().await));
    }
    let expect: Vec<String> = (0..QUEUE_MAX).map(|n| n.to_string()).collect();
    assert_eq!(seen, expect);
    assert_eq!(tail.next().await, Item::Dropped(7));
    assert_eq!(messages(tail.next().await), ["behind the gap"]);
    assert_eq!(hub.dropped(), 7);
}

#[tokio::test]
async fn a_queue_is_bounded_in_bytes_too() {
    let hub = Hub::default();
    let _tail = hub.tail(LogFilter::default()).unwrap();
    let large = "x".repeat(60_000);
    publish(&hub, (0..100).map(|_| large.clone()));
    assert_eq!(hub.dropped(), 100 - (QUEUE_BYTES_MAX / 60_200) as u64);
}

#[test]
fn tails_are_bounded_and_closed_ones_make_room() {
    let hub = Hub::default();
    let mut open: Vec<_> = (0..TAILS_MAX)
        .map(|_| hub.tail(LogFilter::default()).unwrap())
        .collect();
    assert!(hub.tail(LogFilter::default()).is_none());
    open.pop();
    assert!(hub.tail(LogFilter::default()).is_some());
}
