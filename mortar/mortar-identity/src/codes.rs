//! One-time codes by which a person's browser becomes the operator's: 256 bits, ten minutes, one use.

use std::time::Duration;

use crate::secret::Digest;
use crate::service::Inner;
use crate::{Error, Secret, issuer};

/// Life of a code.
const TTL: Duration = Duration::from_secs(10 * 60);

pub(crate) async fn make(inner: &Inner) -> Result<(Secret, Duration), Error> {
    let code = Secret::random()?;
    let now_s = issuer::now_s();
    inner
        .store
        .add_code(code.digest(), now_s, now_s + TTL.as_secs() as i64)
        .await?;
    Ok((code, TTL))
}

/// Whether the code counts; it never will again.
pub(crate) async fn redeem(inner: &Inner, code: &str) -> Result<bool, Error> {
    inner.store.take_code(Digest::of(code), issuer::now_s()).await
}
