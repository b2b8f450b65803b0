//! W3C `tracestate`: what other tracing systems say of a trace to themselves. It is passed on as it came.

use std::sync::Arc;

/// Longest state passed on, in bytes (W3C Trace Context §3.3.1.5).
const BYTES_MAX: usize = 512;
/// A member that is longer goes first where not all fit (the same section).
const MEMBER_BYTES_MAX: usize = 128;
/// Most members passed on (W3C Trace Context §3.3.1.1).
const MEMBERS_MAX: usize = 32;

/// The `tracestate` that came with a request. Bounded: 512 bytes, 32 members. Nothing of ours is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// Reads the values of all `tracestate` fields, in order; none where there is nothing to pass on. Where not all of
    /// it fits, long members go first, then those at the end.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let whole = values.into_iter().collect::<Vec<_>>().join(",");
        let mut members: Vec<&str> = whole
            .split(',')
            .filter(|member| !member.trim().is_empty())
            .collect();
        if members.is_empty() {
            return None;
        }
        if whole.len() <= BYTES_MAX && members.len() <= MEMBERS_MAX {
            return Some(Self(whole.as_str().into()));
        }
        let bytes = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>();
        if bytes(&members) > BYTES_MAX + 1 {
            members.retain(|member| member.trim().len() <= MEMBER_BYTES_MAX);
        }
        members.truncate(MEMBERS_MAX);
        while bytes(&members) > BYTES_MAX + 1 {
            members.pop();
        }
        (!members.is_empty()).then(|| Self(members.join(",").into()))
    }

    /// The value of the field to send.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_passed_on_as_it_came() {
        let check = |values: &[&str], expect: Option<&str>| {
            let found = TraceState::parse(values.iter().copied());
            assert_eq!(found.as_ref().map(TraceState::as_str), expect, "{values:?}");
        };
        check(&["a=1, b@v=x y"], Some("a=1, b@v=x y"));
        check(&["a=1", "b=2"], Some("a=1,b=2"));
        check(&[], None);
        check(&[" , "], None);
    }

    #[test]
    fn long_members_go_first_then_those_at_the_end() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (0..12).map(|n| format!("k{n:02}={}", "y".repeat(36))).collect();
        let state = TraceState::parse([long.as_str(), &short.join(",")]).unwrap();
        assert_eq!(state.as_str(), short.join(","));
        let many: Vec<String> = (0..20).map(|n| format!("k{n:02}={}", "y".repeat(36))).collect();
        let state = TraceState::parse([many.join(",").as_str()]).unwrap();
        assert_eq!(state.as_str(), many[..12].join(","));
        let tiny = ["a=1"; 40].join(",");
        assert_eq!(
            TraceState::parse([tiny.as_str()]).unwrap().as_str(),
            ["a=1"; 32].join(",")
        );
    }

    proptest! {
        #[test]
        fn no_value_grows_or_breaks_the_bound(text in "[ -~]{0,2000}") {
            if let Some(state) = TraceState::parse([text.as_str()]) {
                prop_assert!(state.as_str().len() <= BYTES_MAX.min(text.len()));
            }
        }
    }
}
