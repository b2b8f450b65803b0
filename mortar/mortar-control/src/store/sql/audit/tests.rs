//! The trail is found by every filter, on either engine.

use brick_state::{Database, Options};
use serde_json::json;

use super::*;
use crate::store::Sql;

fn entry(minute: i64, who: &str, action: &str, target: &str, why: Option<&str>) -> Arc<Entry> {
    Arc::new(Entry {
        at: Timestamp::from_millisecond(minute * 60_000).unwrap(),
        who: who.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        before: json!(null),
        after: json!({"retries": 3}),
        why: why.map(str::to_owned),
        trace_id: None,
    })
}

async fn check(url: String) {
    let db = Database::open(Options::new(url, &[])).await.unwrap();
    Sql::open(db.clone()).await.unwrap();
    let trail = [
        entry(1, "ann", "limits.set", "limits/Order->payment", None),
        entry(
            2,
            "bob",
            "limits.delete",
            "limits/order->product",
            Some("100% gone"),
        ),
        entry(3, "ann", "config.set", "config/order", None),
    ];
    let written = db.write(move |tx| {
        add(tx, &trail[..1])?;
        add(tx, &trail[1..])
    });
    written.await.unwrap();
    let of = |edit: fn(&mut Filter)| {
        let mut filter = Filter {
            limit: 10,
            ..Filter::default()
        };
        edit(&mut filter);
        let found = db.read(move |reader| find(reader, &filter));
        async move {
            found
                .await
                .unwrap()
                .into_iter()
                .map(|(id, _)| id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(of(|_| {}).await, [3, 2, 1]);
    assert_eq!(of(|filter| filter.who = Some("ann".into())).await, [3, 1]);
    assert_eq!(of(|filter| filter.action = Some("limits".into())).await, [2, 1]);
    assert_eq!(of(|filter| filter.action = Some("limits.set".into())).await, [1]);
    assert_eq!(of(|filter| filter.target = Some("ORDER->".into())).await, [2, 1]);
    assert_eq!(of(|filter| filter.text = Some("100%".into())).await, [2]);
    assert_eq!(of(|filter| filter.text = Some("RETRIES".into())).await, [3, 2, 1]);
    let since = |filter: &mut Filter| filter.since = Timestamp::from_millisecond(120_000).ok();
    assert_eq!(of(since).await, [3, 2]);
    assert_eq!(of(|filter| filter.older = Some(3)).await, [2, 1]);
    assert_eq!(of(|filter| filter.limit = 1).await, [3]);
    let both = |filter: &mut Filter| {
        filter.who = Some("ann".into());
        filter.target = Some("config".into());
    };
    assert_eq!(of(both).await, [3]);
}

#[tokio::test]
async fn the_trail_is_found_by_every_filter() {
    check("sqlite::memory:".to_owned()).await;
    check(private_postgres::database()).await;
}
