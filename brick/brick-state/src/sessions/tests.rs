//! Sessions expire, slide, survive, and never show their ids at rest.

use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::Options;

const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MS: i64 = 3_600_000;

struct Bench {
    sessions: Sessions,
    now: Arc<AtomicI64>,
    db: Database,
}

async fn bench(url: &str) -> Bench {
    let db = Database::open(Options::new(url, &[])).await.unwrap();
    let now = Arc::new(AtomicI64::new(1_000));
    let clock = Arc::clone(&now);
    let clock = Clock(Arc::new(move || clock.load(Ordering::Relaxed)));
    let sessions = Sessions::with_clock(&db, HOUR, clock).await.unwrap();
    Bench { sessions, now, db }
}

impl Bench {
    fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    async fn load(&self, id: &SessionId) -> Option<String> {
        self.sessions.load(id).await.unwrap()
    }

    async fn rows(&self) -> i64 {
        let sql = "select count(*) from brick_session";
        let count = self.db.read(|r| r.query_one(sql, &[], |row| row.get(0))).await;
        count.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_session_lives_while_it_is_used_and_ends_when_it_is_not() {
    let bench = bench("sqlite::memory:").await;
    let id = bench.sessions.create(&"ann").await.unwrap();
    for _ in 0..5 {
        bench.advance(HOUR_MS / 2);
        assert_eq!(bench.load(&id).await.as_deref(), Some("ann"));
    }
    bench.advance(HOUR_MS);
    assert_eq!(bench.load(&id).await, None);
    assert!(!bench.sessions.save(&id, &"eve").await.unwrap());
}

#[tokio::test]
async fn data_is_replaced_an_id_rotated_and_a_session_destroyed() {
    let bench = bench("sqlite::memory:").await;
    let id = bench.sessions.create(&"guest").await.unwrap();
    assert!(bench.sessions.save(&id, &"ann").await.unwrap());
    let fresh = bench.sessions.rotate(&id).await.unwrap().unwrap();
    assert_eq!(bench.load(&id).await, None);
    assert_eq!(bench.load(&fresh).await.as_deref(), Some("ann"));
    bench.sessions.destroy(&fresh).await.unwrap();
    assert_eq!(bench.load(&fresh).await, None);
    assert_eq!(bench.sessions.rotate(&fresh).await.unwrap(), None);
}

#[tokio::test]
async fn ended_sessions_are_swept_a_few_at_a_time() {
    let bench = bench("sqlite::memory:").await;
    for _ in 0..SWEEP_MAX + 5 {
        bench.sessions.create(&1).await.unwrap();
    }
    bench.advance(HOUR_MS);
    bench.sessions.create(&1).await.unwrap();
    assert_eq!(bench.rows().await, 6);
    bench.sessions.create(&1).await.unwrap();
    assert_eq!(bench.rows().await, 2);
}

#[tokio::test]
async fn a_session_survives_the_process_and_its_id_is_not_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let url = format!("sqlite:{}", file.display());
    let id = bench(&url).await.sessions.create(&"ann").await.unwrap();
    let again = bench(&url).await;
    assert_eq!(
        again.load(&id.as_str().parse().unwrap()).await.as_deref(),
        Some("ann")
    );
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes.windows(43).any(|window| window == id.as_str().as_bytes());
        assert!(!found);
    }
    assert!(!format!("{id:?}").contains(id.as_str()));
}

#[tokio::test]
async fn data_over_the_bound_is_refused() {
    let bench = bench("sqlite::memory:").await;
    let told = bench
        .sessions
        .create(&"x".repeat(DATA_BYTES_MAX))
        .await
        .unwrap_err();
    assert!(told.to_string().contains("65536 bytes"), "{told}");
}

proptest! {
    #[test]
    fn arbitrary_cookie_text_is_read_or_refused(text in "\\PC{0,80}") {
        if let Ok(id) = text.parse::<SessionId>() {
            prop_assert_eq!(id.as_str(), text);
        }
    }
}
