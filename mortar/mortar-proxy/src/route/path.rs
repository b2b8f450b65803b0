//! The path that routes are matched by: what a path means, however it is written.

use std::borrow::Cow;

/// The path that routes are matched by; none where it has dot segments, backslashes or broken encodings.
pub fn canonical(path: &str) -> Option<Cow<'_, str>> {
    let mut decoded = if path.contains('%') {
        Cow::Owned(decode(path)?)
    } else {
        Cow::Borrowed(path)
    };
    if decoded.contains("//") {
        decoded = Cow::Owned(merge_slashes(&decoded));
    }
    if decoded.contains(['\\', '\0']) {
        return None;
    }
    // `;x` behind dots: some servers cut parameters off a segment before they resolve it.
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    (!decoded.split('/').any(is_dots)).then_some(decoded)
}

/// Decodes what means the same when it is decoded, and slashes: many servers take `%2F` for one (RFC 3986 §6.2.2.2).
fn decode(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        match byte {
            0 | b'\\' => return None,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte as char);
            }
            _ => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = &after[2..];
    }
    out.push_str(rest);
    Some(out)
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_cannot_be_disguised() {
        let check =
            |path: &str, expect: Option<&str>| assert_eq!(canonical(path).as_deref(), expect, "{path}");
        check("/a/b", Some("/a/b"));
        check("/%61dmin/x%2fy", Some("/admin/x/y"));
        check("//admin///x%2F/", Some("/admin/x/"));
        check("/public/..%2fadmin", None);
        check("/a%20b", Some("/a%20b"));
        check("/a..b/...", Some("/a..b/..."));
        for bad in [
            "/a/../b",
            "/a/%2e%2E/b",
            "/./a",
            "/a/..",
            "/a/..;x/b",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%zz",
            "/a%2",
        ] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic_and_canonical_is_stable(path in "/[ -~ü%.]{0,40}") {
            if let Some(once) = canonical(&path) {
                let again = canonical(&once).map(Cow::into_owned);
                if !path.contains("%25") {
                    prop_assert_eq!(again.as_deref(), Some(&*once));
                }
            }
        }
    }
}
