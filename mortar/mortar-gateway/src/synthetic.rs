//! Synthetic traffic: what an acceptance suite sends says so, and is believed from whoever may say it.

use std::sync::Arc;

use brick_auth::{IDENTITY_HEADER, Verifier};
use http::HeaderMap;
use mortar_proxy::{SYNTHETIC_HEADER, Synthetic};

/// Scopes of platform tokens that may mark traffic as synthetic.
const SCOPES: [&str; 2] = ["admin", "synthetic"];
/// Longest name of a suite, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The suite that the request claims to belong to, where its platform token lets it. A claim that is not believed
/// counts as none: the header is removed, and the request is everybody's.
pub(crate) fn claimed(headers: &HeaderMap, verifier: &Verifier) -> Option<Synthetic> {
    let name = only(headers, SYNTHETIC_HEADER)?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_name) {
        return None;
    }
    let claims = verifier.platform(only(headers, IDENTITY_HEADER)?).ok()?;
    let may = SCOPES.iter().any(|scope| claims.has_scope(scope));
    may.then(|| Synthetic(Arc::from(name)))
}

/// The value of a field that came once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
