//! Which of two routes that a request fits is taken.

use super::Conditions;

/// How specific a route is; the greater goes first. Compared in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// 2 for a named host, 1 for a pattern of hosts, 0 for any.
    pub host: u8,
    /// Length of a pattern of hosts, in bytes.
    pub host_bytes: usize,
    /// Segments of the path before `/**` or the first parameter.
    pub segments: usize,
    /// 2 for a path alone, 1 for one with parameters, 0 for a prefix.
    pub path: u8,
    /// Segments behind the first parameter that are none.
    pub literals: usize,
    /// How many methods (as one), fields and query parameters are asked for.
    pub conditions: usize,
}

impl Rank {
    /// That of a route with this pattern and these conditions.
    pub fn new(pattern: &str, conditions: &Conditions) -> Self {
        let (host, host_bytes) = match conditions.host.as_deref() {
            None => (0, 0),
            Some(host) if host.starts_with("*.") => (1, host.len()),
            Some(_) => (2, 0),
        };
        let is_parameter = |segment: &&str| segment.starts_with('{');
        let (base, path, literals) = match (pattern.strip_suffix("/**"), pattern.find("/{")) {
            (Some(base), _) => (base, 0, 0),
            (None, Some(at)) => {
                let rest = pattern[at + 1..].split('/');
                (
                    &pattern[..at],
                    1,
                    rest.filter(|segment| !is_parameter(segment)).count(),
                )
            }
            (None, None) => (pattern, 2, 0),
        };
        Self {
            host,
            host_bytes,
            segments: base.matches('/').count(),
            path,
            literals,
            conditions: conditions.count(),
        }
    }
}
