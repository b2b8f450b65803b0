//! W3C Baggage: name and value pairs that travel with a call.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Longest header written and read, in bytes (W3C Baggage §3.3.2).
pub(super) const BYTES_MAX: usize = 8192;
/// Most members kept (W3C Baggage §3.3.2).
pub(super) const MEMBERS_MAX: usize = 64;

/// Name and value pairs that travel with a call. Bounded: 64 members, 8192 bytes as a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baggage {
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    key: String,
    value: String,
    /// What followed the value after `;`, passed on as it came.
    properties: String,
}

impl Baggage {
    /// Reads a `baggage` header. Members that are malformed or beyond the limits are left out, the rest counts; the
    /// last of two members with one key wins.
    pub fn parse(header: &str) -> Self {
        let mut baggage = Self::default();
        let mut read = 0;
        for text in header.split(',') {
            read += text.len();
            if read > BYTES_MAX {
                break;
            }
            read += 1;
            if let Some(member) = Member::parse(text) {
                baggage.put(member);
            }
        }
        baggage
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let member = self.members.iter().find(|m| m.key == key)?;
        Some(&member.value)
    }

    /// Sets `key`; false where it cannot be: the key is no token, or a limit is reached.
    pub fn set(&mut self, key: &str, value: &str) -> bool {
        if !is_token(key) {
            return false;
        }
        self.put(Member {
            key: key.to_owned(),
            value: value.to_owned(),
            properties: String::new(),
        })
    }

    /// Without the members whose key starts with `prefix`.
    #[must_use]
    pub fn without_prefix(&self, prefix: &str) -> Self {
        Self {
            members: self
                .members
                .iter()
                .filter(|m| !m.key.starts_with(prefix))
                .cloned()
                .collect(),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|m| (m.key.as_str(), m.value.as_str()))
    }

    /// The header; empty where there is nothing to send.
    pub fn to_header(&self) -> String {
        let mut out = String::new();
        for member in &self.members {
            if !out.is_empty() {
                out.push(',');
            }
            member.write(&mut out);
        }
        out
    }

    fn put(&mut self, member: Member) -> bool {
        let same = self.members.iter().position(|m| m.key == member.key);
        let others: usize = self
            .members
            .iter()
            .filter(|m| m.key != member.key)
            .map(|m| m.encoded_len() + 1)
            .sum();
        if others + member.encoded_len() > BYTES_MAX || (same.is_none() && self.members.len() >= MEMBERS_MAX)
        {
            return false;
        }
        match same {
            Some(at) => self.members[at] = member,
            None => self.members.push(member),
        }
        true
    }
}

impl Member {
    fn parse(text: &str) -> Option<Self> {
        let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
        let (key, value) = pair.split_once('=')?;
        let (key, value, properties) = (key.trim(), value.trim(), properties.trim());
        let sendable = |b: u8| (0x20..0x7f).contains(&b);
        if !is_token(key) || !value.bytes().all(is_octet) || !properties.bytes().all(sendable) {
            return None;
        }
        Some(Self {
            key: key.to_owned(),
            value: decode(value).into_owned(),
            properties: properties.to_owned(),
        })
    }

    fn write(&self, out: &mut String) {
        out.push_str(&self.key);
        out.push('=');
        for byte in self.value.bytes() {
            if is_octet(byte) && byte != b'%' {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        if !self.properties.is_empty() {
            out.push(';');
            out.push_str(&self.properties);
        }
    }

    fn encoded_len(&self) -> usize {
        let value: usize = self
            .value
            .bytes()
            .map(|b| if is_octet(b) && b != b'%' { 1 } else { 3 })
            .sum();
        let properties = if self.properties.is_empty() {
            0
        } else {
            self.properties.len() + 1
        };
        self.key.len() + 1 + value + properties
    }
}

/// A token (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A baggage-octet (W3C Baggage §3.3.1.3).
fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// Percent-decodes; what is no escape stays as it is, what is no UTF-8 becomes U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_gives_its_well_formed_members() {
        let baggage = Baggage::parse("a=1 , b = x%20y;p=2;q,bad,=x,c=\"no\", a=3");
        assert_eq!(baggage.get("a"), Some("3"));
        assert_eq!(baggage.get("b"), Some("x y"));
        assert_eq!(baggage.get("c"), None);
        assert_eq!(baggage.to_header(), "a=3,b=x%20y;p=2;q");
    }

    #[test]
    fn platform_members_can_be_taken_out() {
        let baggage = Baggage::parse("brick.pool=v2,user=7");
        assert_eq!(baggage.without_prefix("brick.").to_header(), "user=7");
    }

    #[test]
    fn limits_hold() {
        let many: Vec<String> = (0..200).map(|i| format!("k{i}=v")).collect();
        assert_eq!(Baggage::parse(&many.join(",")).iter().count(), MEMBERS_MAX);
        let mut baggage = Baggage::default();
        assert!(baggage.set("a", &"x".repeat(BYTES_MAX - 2)));
        assert!(!baggage.set("b", "1"));
        assert!(!baggage.set("no key", "1"));
        assert_eq!(baggage.to_header().len(), BYTES_MAX);
        assert_eq!(Baggage::parse(&baggage.to_header()), baggage);
    }

    proptest! {
        #[test]
        fn any_header_is_read_within_the_limits(text in "\\PC{0,400}") {
            let baggage = Baggage::parse(&text);
            prop_assert!(baggage.iter().count() <= MEMBERS_MAX);
            let header = baggage.to_header();
            prop_assert!(header.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert_eq!(Baggage::parse(&header), baggage);
        }

        #[test]
        fn any_value_survives_the_header(value in "\\PC{0,60}") {
            let mut baggage = Baggage::default();
            prop_assert!(baggage.set("k", &value));
            prop_assert_eq!(Baggage::parse(&baggage.to_header()), baggage);
        }
    }
}
