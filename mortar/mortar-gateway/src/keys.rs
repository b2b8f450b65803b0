//! API keys: for programs that cannot get tokens. The gateway knows their digests alone, from `keys/edge` of the bus.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use brick_bus::routes::{ApiKey, ApiKeys};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use mortar_proxy::Answer;

/// Field in which a client shows its key; it never passes.
const SHOWN: HeaderName = HeaderName::from_static("x-api-key");
/// Field in which the brick is told whose key it was.
const OWNER: HeaderName = HeaderName::from_static("x-brick-api-client");
/// Longest key that is looked at.
const BYTES_MAX: usize = 256;

/// The keys that count. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Arc<ArcSwap<HashMap<[u8; 32], Arc<ApiKey>>>>);

impl Keys {
    /// These count from now on; what is no digest counts for nothing.
    pub(crate) fn replace(&self, told: ApiKeys) {
        let keys = told.keys.into_iter();
        let known = keys.filter_map(|key| Some((unhex(&key.sha256)?, Arc::new(key))));
        self.0.store(Arc::new(known.collect()));
    }

    /// The key that the request shows. It is found by its digest, so how long that takes tells nothing of other keys.
    pub(crate) fn check(&self, headers: &mut HeaderMap) -> Result<Arc<ApiKey>, Answer> {
        let refused = |code, detail| {
            Answer::new(StatusCode::UNAUTHORIZED, code, detail).with_header(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("ApiKey header=\"x-api-key\""),
            )
        };
        let mut shown = headers.get_all(&SHOWN).iter();
        let Some(key) = shown.next() else {
            let detail =
                "expected an API key in the field x-api-key; `POST /api/identity/v1/api-keys` makes one";
            return Err(refused("key_missing", detail));
        };
        if shown.next().is_some() || key.len() > BYTES_MAX {
            return Err(refused(
                "key_malformed",
                "expected one API key in the field x-api-key",
            ));
        }
        let digest = digest::digest(&digest::SHA256, key.as_bytes());
        let known = self.0.load();
        let found = known.get(digest.as_ref());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |at| at.as_secs());
        let valid = |key: &&Arc<ApiKey>| {
            key.expires_s
                .is_none_or(|end| i64::try_from(now).is_ok_and(|now| now < end))
        };
        let Some(found) = found.filter(valid) else {
            return Err(refused(
                "key_unknown",
                "this API key does not count, or no longer",
            ));
        };
        if let Ok(owner) = HeaderValue::from_str(&found.owner) {
            headers.insert(OWNER, owner);
        }
        Ok(Arc::clone(found))
    }
}

/// Removes what only the gateway says. The key goes where a key is asked for: elsewhere the field is the brick's own.
pub(crate) fn clean(headers: &mut HeaderMap) {
    headers.remove(OWNER);
}

/// The key does not travel on.
pub(crate) fn conceal(headers: &mut HeaderMap) {
    headers.remove(SHOWN);
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_as_a_whole_once_and_until_its_end() {
        let keys = Keys::default();
        let told = |key: &str, expires_s| {
            let digest = digest::digest(&digest::SHA256, key.as_bytes());
            let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            ApiKey {
                id: "k".to_owned(),
                sha256: hex,
                owner: "till".to_owned(),
                scopes: vec![],
                expires_s,
            }
        };
        keys.replace(ApiKeys {
            keys: vec![told("bk_a", None), told("bk_old", Some(1))],
        });
        let check = |shown: &[&str], expect: Result<&str, &str>| {
            let mut headers = HeaderMap::new();
            for key in shown {
                headers.append(SHOWN, key.parse().unwrap());
            }
            let found = keys.check(&mut headers);
            let found = found
                .as_ref()
                .map(|key| &*key.owner)
                .map_err(|answer| answer.code);
            assert_eq!(found, expect, "{shown:?}");
            assert_eq!(headers.contains_key(OWNER), expect.is_ok());
        };
        check(&["bk_a"], Ok("till"));
        check(&["bk_b"], Err("key_unknown"));
        check(&["bk_old"], Err("key_unknown"));
        check(&["bk_a", "bk_a"], Err("key_malformed"));
        check(&[], Err("key_missing"));
    }
}
