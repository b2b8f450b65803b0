//! Percent-encoding, the one place that writes it: parts of URLs, query strings, forms
//! (`application/x-www-form-urlencoded`). Baggage encodes another set of characters and keeps its own.

use std::fmt::Write as _;

/// Media type of what [`encode`] writes.
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// The pairs as a form's body or a URL's query, each part as [`component`] writes it: spaces too are percent-encoded,
/// which every reader of forms takes.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        component(&mut out, name);
        out.push('=');
        component(&mut out, value);
    }
    out
}

/// The address of a server with the password of the user that it names (`postgres://USER@HOST/…`), percent-encoded.
pub fn with_password(url: &str, password: &str) -> String {
    let mut secret = String::from(":");
    component(&mut secret, password);
    secret.push('@');
    url.replacen('@', &secret, 1)
}

/// Appends one name, value or path segment, percent-encoded but for unreserved characters (RFC 3986 §2.3).
pub fn component(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_encoded_so_that_nothing_of_a_value_is_taken_for_structure() {
        let pairs = [("scope", "customer admin"), ("a&b", "ü=1"), ("empty", "")];
        assert_eq!(encode(&pairs), "scope=customer%20admin&a%26b=%C3%BC%3D1&empty=");
        assert_eq!(encode(&[]), "");
    }

    #[test]
    fn a_password_cannot_end_the_user_of_an_address() {
        let url = "postgres://shop@db:5432/orders?schema=a@b";
        assert_eq!(
            with_password(url, "p@s:s/"),
            "postgres://shop:p%40s%3As%2F@db:5432/orders?schema=a@b"
        );
    }
}
