//! What forges send when somebody pushed: GitHub's and GitLab's payloads, verified with a secret.

use std::collections::BTreeSet;

use aws_lc_rs::{constant_time, hmac};
use http::HeaderMap;
use serde_json::Value;

use super::files::ENDINGS;

/// Names in an answer at most.
const NAMES_MAX: usize = 100;

/// Whether the sender knows the secret: by an HMAC-SHA-256 of the body (GitHub), or by the secret itself (GitLab).
/// Both are compared in constant time.
pub(crate) fn knows(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let field = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    if let Some(signature) = field("x-hub-signature-256") {
        let tag = signature.strip_prefix(b"sha256=").and_then(unhex);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        return tag.is_some_and(|tag| hmac::verify(&key, body, &tag).is_ok());
    }
    field("x-gitlab-token").is_some_and(|token| {
        // Of the digests, so that not even the length is told.
        let digest = |text: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text);
        let (shown, own) = (digest(token), digest(secret.as_bytes()));
        constant_time::verify_slices_are_equal(shown.as_ref(), own.as_ref()).is_ok()
    })
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

/// Applications that a push is about, by the names of the files in it; `*` is all of them.
pub(crate) fn applications(payload: &Value) -> BTreeSet<String> {
    let commits = payload["commits"].as_array().into_iter().flatten();
    let paths = commits.flat_map(|commit| {
        let kinds = ["added", "modified", "removed"];
        kinds
            .into_iter()
            .flat_map(|kind| commit[kind].as_array().into_iter().flatten())
    });
    let mut names = BTreeSet::new();
    for path in paths.filter_map(Value::as_str) {
        let file = path.rsplit('/').next().unwrap_or_default();
        let Some((stem, ending)) = file.rsplit_once('.') else {
            continue;
        };
        if !ENDINGS.contains(&ending) || names.len() >= NAMES_MAX {
            continue;
        }
        // `order-eu` is order with a profile, or an application of that name.
        names.insert(stem.to_owned());
        names.extend(stem.split_once('-').map(|(name, _)| name.to_owned()));
    }
    if names.iter().any(|name| name == super::layer::SHARED) {
        names = ["*".to_owned()].into();
    }
    names
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "It's a Secret to Everybody";

    #[test]
    fn only_who_knows_the_secret_is_believed() {
        let check = |name: &'static str, value: &str, body: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            assert_eq!(
                knows(SECRET, &headers, body.as_bytes()),
                expect,
                "{name}: {value}"
            );
        };
        // The example of GitHub's own documentation.
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        check("x-hub-signature-256", good, "Hello, World!", true);
        check("x-hub-signature-256", good, "Hello, World", false);
        check("x-hub-signature-256", "sha256=", "Hello, World!", false);
        check(
            "x-hub-signature-256",
            &good.replace("sha256", "sha1"),
            "Hello, World!",
            false,
        );
        check("x-gitlab-token", SECRET, "{}", true);
        check("x-gitlab-token", "It's a Secret to Everybod", "{}", false);
        check("x-other", SECRET, "{}", false);
    }

    #[test]
    fn a_push_names_the_applications_that_it_is_about() {
        let payload = json!({ "commits": [
            { "added": ["env/order-eu.yml"], "modified": ["README.md"], "removed": [] },
            { "modified": ["payment.properties"] },
        ] });
        let names: Vec<String> = applications(&payload).into_iter().collect();
        assert_eq!(names, ["order", "order-eu", "payment"]);
        let all = json!({ "commits": [{ "modified": ["application.yml", "order.yml"] }] });
        assert_eq!(applications(&all).into_iter().collect::<Vec<_>>(), ["*"]);
        assert!(applications(&json!([1])).is_empty());
    }
}
