//! Reading what an instance counted, from its `/metrics`: one family of an exposition (Prometheus text format 0.0.4 or
//! OpenMetrics 1.0).

/// The family in which an instance counts the requests that it served.
pub const SERVED: &str = "http_server_request_duration_seconds";

/// One sample of a family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'t> {
    /// What of the family it is: `_count`, `_bucket`, `_sum`, or nothing.
    pub kind: &'t str,
    labels: &'t str,
    /// Its value.
    pub value: f64,
}

/// The samples of a family that have labels.
pub fn samples<'t>(text: &'t str, family: &'t str) -> impl Iterator<Item = Sample<'t>> {
    text.lines().filter_map(move |line| {
        let (kind, rest) = line.strip_prefix(family)?.split_once('{')?;
        let (labels, value) = rest.split_once("} ")?;
        let value = value.split(' ').next()?.parse().ok()?;
        Some(Sample { kind, labels, value })
    })
}

/// How many requests an instance served since its start, without those that the platform makes itself; none where it
/// does not count them.
pub fn served(text: &str) -> Option<u64> {
    if !text.contains(SERVED) {
        return None;
    }
    let counted = samples(text, SERVED).filter(|sample| sample.kind == "_count" && !sample.is_platforms());
    Some(counted.map(|sample| sample.value as u64).sum())
}

impl<'t> Sample<'t> {
    /// The value of a label that holds no quotes, as those that are looked at do not.
    pub fn label(&self, name: &str) -> Option<&'t str> {
        let mut rest = self.labels;
        loop {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = after.split_once('"')?;
            if key.trim_start_matches(',') == name {
                return Some(value);
            }
            rest = after;
        }
    }

    /// Whether it is about requests that the platform makes itself.
    pub fn is_platforms(&self) -> bool {
        let route = self.label("http_route").unwrap_or_default();
        route.starts_with("/health") || matches!(route, "/metrics" | "/info")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_without_the_platforms_own() {
        let text = "# TYPE http_server_request_duration_seconds histogram\n\
                    http_server_request_duration_seconds_bucket{http_route=\"/a\",le=\"0.1\"} 7\n\
                    http_server_request_duration_seconds_count{http_route=\"/a\"} 7 1700000000\n\
                    http_server_request_duration_seconds_count{http_route=\"/b\"} 3.0\n\
                    http_server_request_duration_seconds_count{http_route=\"/health/ready\"} 900\n\
                    http_client_request_duration_seconds_count{server_address=\"bank\"} 5\n";
        assert_eq!(served(text), Some(10));
        let nothing_yet = "# TYPE http_server_request_duration_seconds histogram\n";
        assert_eq!(served(nothing_yet), Some(0));
        assert_eq!(served("up 1\n"), None);
    }

    #[test]
    fn labels_are_found_by_name() {
        let line = "f_bucket{a=\"1\",le=\"+Inf\"} 2";
        let sample = samples(line, "f").next().unwrap();
        assert_eq!((sample.kind, sample.label("le")), ("_bucket", Some("+Inf")));
        assert_eq!(sample.label("b"), None);
        assert_eq!(samples("f_bucket{broken", "f").next(), None);
    }
}
