//! Rates that all gateways of a system count together, in Redis.
//!
//! Each gateway holds its own bucket against a request first, then asks the store. Where the store does not answer in
//! time, the gateway's own bucket alone counts, and the store is left in peace for a second: a rate limit must not take
//! the edge down.

mod resp;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::figures::Figures;
use crate::function::rate::{Limiter, Who};
use resp::{Connection, Url};

/// Longer than this nobody waits for the store.
const TIMEOUT: Duration = Duration::from_millis(50);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a store that failed is left in peace.
const PAUSE: Duration = Duration::from_secs(1);
/// Idle connections that are kept.
const IDLE_MAX: usize = 16;

/// The bucket by the store's own clock: what it is to cost and how far ahead it may be, in microseconds; answers 0, or
/// for how long to wait.
const SCRIPT: &str = "\
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full = tonumber(redis.call('GET', KEYS[1]) or now)
if full < now then full = now end
local ahead = full - now
if ahead > tonumber(ARGV[2]) then return math.ceil(ahead - tonumber(ARGV[2])) end
full = full + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1000)
return 0";

/// Asks for one; answers when there will be one, where there is none now.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Result<(), Duration>> + Send>>;

/// The store, where there is one. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SharedRate {
    store: Arc<Mutex<Option<Arc<Store>>>>,
    /// Whether there is one: the hot path looks at this alone.
    is_there: Arc<std::sync::atomic::AtomicBool>,
    figures: Figures,
}

#[derive(Debug)]
struct Store {
    url: Url,
    idle: Mutex<Vec<Connection>>,
    paused_until: Mutex<Option<Instant>>,
}

impl SharedRate {
    pub(crate) fn new(figures: Figures) -> Self {
        Self {
            store: Arc::default(),
            is_there: Arc::default(),
            figures,
        }
    }

    /// Counts there from now on; none counts here alone. What is no URL counts as none, and is said.
    pub(crate) fn replace(&self, url: Option<&str>) {
        let parsed = url.and_then(Url::parse);
        if let (Some(url), None) = (url, &parsed) {
            // It may hold a password.
            let host = url.rsplit('@').next().unwrap_or_default();
            tracing::warn!(
                host,
                "expected a store such as redis://127.0.0.1:6379/0; rates are counted here alone"
            );
        }
        let mut store = self.store.lock();
        if store.as_ref().map(|store| &store.url) == parsed.as_ref() {
            return;
        }
        self.is_there
            .store(parsed.is_some(), std::sync::atomic::Ordering::Release);
        *store = parsed.map(|url| {
            Arc::new(Store {
                url,
                idle: Mutex::default(),
                paused_until: Mutex::default(),
            })
        });
    }

    /// What has to be waited for; nothing where rates are counted here alone.
    pub(crate) fn ask(&self, route: &str, limiter: &Limiter, who: &Who<'_>) -> Option<Asking> {
        if !self.is_there.load(std::sync::atomic::Ordering::Acquire) {
            return None;
        }
        let store = self.store.lock().clone()?;
        let now = Instant::now();
        if store.paused_until.lock().is_some_and(|until| now < until) {
            self.figures.rate_store.with(&["paused"]).inc();
            return None;
        }
        let key = format!("brickwork:rate:{route}:{}", who.name());
        let (cost, burst) = limiter.micros();
        let figures = self.figures.clone();
        Some(Box::pin(async move {
            let failed = match store.take(&key, cost, burst).await {
                Ok(0) => {
                    figures.rate_store.with(&["ok"]).inc();
                    return Ok(());
                }
                Ok(wait_us) => {
                    figures.rate_store.with(&["limited"]).inc();
                    return Err(Duration::from_micros(wait_us));
                }
                Err(error) => error,
            };
            figures.rate_store.with(&["failed"]).inc();
            tracing::warn!(%failed, store = %store.url, "the store of rates does not answer; for a second they are counted here alone");
            *store.paused_until.lock() = Some(Instant::now() + PAUSE);
            Ok(())
        }))
    }
}

impl Store {
    async fn take(&self, key: &str, cost_us: u64, burst_us: u64) -> std::io::Result<u64> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => within(CONNECT_TIMEOUT, Connection::open(&self.url)).await?,
        };
        let (cost, burst) = (cost_us.to_string(), burst_us.to_string());
        let command = ["EVAL", SCRIPT, "1", key, &cost, &burst];
        let answer = within(TIMEOUT, connection.integer(&command)).await?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(u64::try_from(answer).unwrap_or(0))
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
