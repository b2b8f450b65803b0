//! What an instance counted of the requests that it served: its `http_server_request_duration_seconds`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use brick_wire::{Client, exposition};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Requests that were served: how many, how many failed, how long they took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Figures {
    /// Requests, without those that the platform makes itself.
    pub(crate) calls: u64,
    /// Of these, answered with 5xx.
    pub(crate) errors: u64,
    /// Calls by upper bound of their duration in microseconds, cumulative.
    pub(crate) buckets: BTreeMap<u64, u64>,
}

/// Asks an instance; none where it does not say.
pub(crate) async fn ask(client: &Client, addr: SocketAddr) -> Option<Figures> {
    let call = client.get(format!("http://{addr}/metrics")).timeout(TIMEOUT);
    let answer = call
        .bytes_max(ANSWER_BYTES_MAX)
        .send()
        .await
        .ok()?
        .success()
        .ok()?;
    Some(Figures::read(std::str::from_utf8(&answer.body).ok()?))
}

impl Figures {
    /// Reads an exposition (Prometheus text format 0.0.4 or OpenMetrics 1.0), of which only the one family is looked at.
    fn read(text: &str) -> Self {
        let mut all = Self::default();
        for sample in exposition::samples(text, exposition::SERVED) {
            if sample.is_platforms() {
                continue;
            }
            let value = sample.value as u64;
            match sample.kind {
                "_count" => {
                    all.calls += value;
                    let code = sample.label("http_response_status_code");
                    if code.is_some_and(|code| code.starts_with('5')) {
                        all.errors += value;
                    }
                }
                "_bucket" => {
                    let bound = sample.label("le").and_then(|le| le.parse::<f64>().ok());
                    let Some(bound) = bound.filter(|bound| bound.is_finite()) else {
                        continue;
                    };
                    *all.buckets.entry((bound * 1e6).round() as u64).or_insert(0) += value;
                }
                _ => {}
            }
        }
        all
    }

    /// What came since; all of it where there is nothing to begin with.
    pub(crate) fn since(&self, first: Option<&Self>) -> Self {
        let Some(first) = first else { return self.clone() };
        let buckets = self.buckets.iter().map(|(bound, count)| {
            let before = first.buckets.get(bound).copied().unwrap_or(0);
            (*bound, count.saturating_sub(before))
        });
        Self {
            calls: self.calls.saturating_sub(first.calls),
            errors: self.errors.saturating_sub(first.errors),
            buckets: buckets.collect(),
        }
    }

    /// Adds those of another instance.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        for (bound, count) in &other.buckets {
            *self.buckets.entry(*bound).or_insert(0) += count;
        }
    }

    /// The bound in microseconds that this share of the calls keeps to; none where it is beyond all bounds, or nothing
    /// was called.
    pub(crate) fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = (self.calls as f64 * share).ceil().max(1.0) as u64;
        let mut within = self.buckets.iter().filter(|(_, count)| **count >= wanted);
        within.next().map(|(bound, _)| *bound)
    }

    /// Calls that took longer than the bound.
    pub(crate) fn slower_than(&self, bound: u64) -> u64 {
        let within = self
            .buckets
            .range(..=bound)
            .next_back()
            .map_or(0, |(_, count)| *count);
        self.calls.saturating_sub(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_route="/pay",http_response_status_code="200",le="0.01"} 90
http_server_request_duration_seconds_bucket{http_route="/pay",http_response_status_code="200",le="0.1"} 95
http_server_request_duration_seconds_bucket{http_route="/pay",http_response_status_code="200",le="+Inf"} 95
http_server_request_duration_seconds_count{http_route="/pay",http_response_status_code="200"} 95
http_server_request_duration_seconds_bucket{http_route="/pay",http_response_status_code="500",le="0.01"} 5
http_server_request_duration_seconds_bucket{http_route="/pay",http_response_status_code="500",le="0.1"} 5
http_server_request_duration_seconds_count{http_route="/pay",http_response_status_code="500"} 5
http_server_request_duration_seconds_count{http_route="/health/ready",http_response_status_code="200"} 900
http_client_request_duration_seconds_count{server_address="bank"} 7
"#;

    #[test]
    fn an_exposition_is_read_without_the_platforms_own_requests() {
        let all = Figures::read(TEXT);
        assert_eq!((all.calls, all.errors), (100, 5));
        assert_eq!(all.buckets, BTreeMap::from([(10_000, 95), (100_000, 100)]));
        assert_eq!(
            (all.quantile(0.5), all.quantile(0.99)),
            (Some(10_000), Some(100_000))
        );
        assert_eq!((all.slower_than(10_000), all.slower_than(100_000)), (5, 0));
        let none = all.since(Some(&all));
        assert_eq!((none.calls, none.errors, none.quantile(0.99)), (0, 0, None));
        assert_eq!(all.since(None), all);
    }
}
