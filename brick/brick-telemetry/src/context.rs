//! Trace context and baggage, as W3C has them, and which context is current on this thread.
//!
//! The layer keeps a stack of entered spans for each thread, so that [`current`] costs one thread-local read.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::str::FromStr;

mod baggage;
mod trace_state;

pub use baggage::Baggage;
pub use trace_state::TraceState;

/// Baggage key and span attribute of what a test suite causes; the value is the suite's name.
pub const SYNTHETIC: &str = "brick.synthetic";

/// Id of a trace: 16 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// Id of a span: 8 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

/// What travels with a call: which trace, which span of it, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether the trace is recorded (the `sampled` flag).
    pub sampled: bool,
}

/// The text is no id: the expected number of lower-case hexadecimal digits, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} lower-case hexadecimal digits, not all zero")]
pub struct InvalidId {
    digits: usize,
}

impl TraceId {
    /// A random one.
    pub fn random() -> Self {
        loop {
            let bytes: [u8; 16] = rand::random();
            if let Some(id) = Self::from_bytes(bytes) {
                return id;
            }
        }
    }

    /// From bytes; none where all are zero.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// A random one.
    pub fn random() -> Self {
        loop {
            let bytes: [u8; 8] = rand::random();
            if let Some(id) = Self::from_bytes(bytes) {
                return id;
            }
        }
    }

    /// From bytes; none where all are zero.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl SpanContext {
    /// The first span of a new trace, recorded.
    pub fn root() -> Self {
        Self {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            sampled: true,
        }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span_id: SpanId::random(),
            ..*self
        }
    }

    /// The `traceparent` header (W3C Trace Context §3.2), version 00.
    pub fn traceparent(&self) -> String {
        let mut out = [0_u8; 55];
        out[..3].copy_from_slice(b"00-");
        hex_into(&self.trace_id.0, &mut out[3..35]);
        out[35] = b'-';
        hex_into(&self.span_id.0, &mut out[36..52]);
        out[52..].copy_from_slice(if self.sampled { b"-01" } else { b"-00" });
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Reads a `traceparent` header. A later version is read by its first 55 characters, version ff and ids of zero
    /// are refused (W3C Trace Context §3.2.2, §4.3).
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 55 || bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
            return None;
        }
        let [version] = unhex::<1>(&bytes[..2])?;
        let ends_here = bytes.len() == 55;
        if version == 0xff || (version == 0 && !ends_here) || (!ends_here && bytes[55] != b'-') {
            return None;
        }
        let [flags] = unhex::<1>(&bytes[53..55])?;
        Some(Self {
            trace_id: TraceId::from_bytes(unhex(&bytes[3..35])?)?,
            span_id: SpanId::from_bytes(unhex(&bytes[36..52])?)?,
            sampled: flags & 1 == 1,
        })
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex_into(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
}

fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = [0; 32];
        hex_into(&self.0, &mut out);
        f.pad(&String::from_utf8_lossy(&out))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = [0; 16];
        hex_into(&self.0, &mut out);
        f.pad(&String::from_utf8_lossy(&out))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        unhex(text.as_bytes())
            .and_then(Self::from_bytes)
            .ok_or(InvalidId { digits: 32 })
    }
}

impl FromStr for SpanId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        unhex(text.as_bytes())
            .and_then(Self::from_bytes)
            .ok_or(InvalidId { digits: 16 })
    }
}

thread_local! {
    static ENTERED: RefCell<Vec<(u64, SpanContext)>> = const { RefCell::new(Vec::new()) };
    static REMOTE: Cell<Option<SpanContext>> = const { Cell::new(None) };
}

/// The context of the tracing span that is entered on this thread; none outside of every span.
pub fn current() -> Option<SpanContext> {
    let last = ENTERED.try_with(|stack| stack.borrow().last().map(|(_, context)| *context));
    last.ok().flatten()
}

/// Runs `f`; a root tracing span that is made inside joins the trace of `parent`.
pub fn with_remote_parent<T>(parent: Option<SpanContext>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<SpanContext>);
    impl Drop for Restore {
        fn drop(&mut self) {
            REMOTE.set(self.0);
        }
    }
    let _restore = Restore(REMOTE.replace(parent));
    f()
}

/// What a root span made now has as parent.
pub(crate) fn remote_parent() -> Option<SpanContext> {
    REMOTE.try_with(Cell::get).ok().flatten()
}

/// The span `id` was entered on this thread.
pub(crate) fn enter(id: u64, context: SpanContext) {
    // A span may still be entered while the thread ends: then nobody asks any more.
    let _ = ENTERED.try_with(|stack| stack.borrow_mut().push((id, context)));
}

/// The span `id` was left on this thread; spans may be left out of order.
pub(crate) fn exit(id: u64) {
    let _ = ENTERED.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        if let Some(at) = stack.iter().rposition(|(entered, _)| *entered == id) {
            stack.remove(at);
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_is_read_as_the_recommendation_says() {
        let long = format!("{GOOD}-extra").replacen("00", "cc", 1);
        let cases: &[(&str, bool)] = &[
            (GOOD, true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            (&long, true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false),
            ("", false),
        ];
        for (text, good) in cases {
            assert_eq!(SpanContext::parse(text).is_some(), *good, "{text}");
        }
        let context = SpanContext::parse(GOOD).unwrap();
        assert!(context.sampled);
        assert_eq!(context.traceparent(), GOOD);
    }

    #[test]
    fn ids_survive_text() {
        let (trace, span) = (TraceId::random(), SpanId::random());
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!(span.to_string().parse(), Ok(span));
        assert!("0".repeat(32).parse::<TraceId>().is_err());
    }

    #[test]
    fn spans_may_be_left_out_of_order() {
        let (a, b) = (SpanContext::root(), SpanContext::root());
        enter(1, a);
        enter(2, b);
        exit(1);
        assert_eq!(current(), Some(b));
        exit(2);
        assert_eq!(current(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
            let _ = SpanContext::parse(&text);
        }

        #[test]
        fn every_context_survives_its_header(trace: [u8; 16], span: [u8; 8], sampled: bool) {
            prop_assume!(trace != [0; 16] && span != [0; 8]);
            let context = SpanContext { trace_id: TraceId(trace), span_id: SpanId(span), sampled };
            prop_assert_eq!(SpanContext::parse(&context.traceparent()), Some(context));
        }
    }
}
