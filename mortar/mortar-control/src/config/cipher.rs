//! Encrypted values: `{cipher}…`, AES-256-GCM-SIV (RFC 8452) with a master key that control alone has.
//!
//! A value is bound to its brick and key as additional data: text that is copied to another key, or to another brick,
//! does not decrypt. The text is base64url of nonce (12 bytes), ciphertext and tag (16 bytes). Values are stored, and
//! stand in the history, as they were written: encrypted.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// How an encrypted value begins.
pub(crate) const PREFIX: &str = "{cipher}";
/// Largest value in bytes.
const BYTES_MAX: usize = 64 << 10;

/// The master key.
pub struct Cipher(RandomizedNonceKey);

/// Why a value cannot be encrypted or decrypted. Never says what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The master key is none.
    #[error(
        "expected a master key of 64 hexadecimal digits (256 bits), such as `openssl rand -hex 32` makes"
    )]
    Key,
    /// There is no master key.
    #[error(
        "control has no master key: start the system with ENCRYPT_KEY_FILE (a file) or ENCRYPT_KEY (64 hexadecimal digits) in its environment"
    )]
    NoKey,
    /// The text is not what a cipher made.
    #[error("the value is damaged: expected {{cipher}} and what `brick config encrypt` made of it")]
    Damaged,
    /// The key does not fit the value, or the value was made for another key.
    #[error("the value does not decrypt: it was made with another master key, or for another brick or key")]
    Foreign,
    /// The value is too large.
    #[error("expected at most {BYTES_MAX} bytes")]
    TooLarge,
}

impl Cipher {
    /// From 64 hexadecimal digits.
    pub fn new(hex: &str) -> Result<Self, CipherError> {
        let hex = hex.trim().as_bytes();
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pairs = hex.chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
            _ => None,
        });
        let bytes: Vec<u8> = pairs.collect::<Option<_>>().ok_or(CipherError::Key)?;
        if bytes.len() != 32 {
            return Err(CipherError::Key);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &bytes);
        key.map(Self).map_err(|_| CipherError::Key)
    }

    /// Encrypts a value for a key of a brick.
    pub(crate) fn seal(&self, brick: &str, key: &str, value: &Value) -> Result<String, CipherError> {
        let mut text = value.to_string().into_bytes();
        if text.len() > BYTES_MAX {
            return Err(CipherError::TooLarge);
        }
        let sealed = self
            .0
            .seal_in_place_append_tag(Aad::from(bound(brick, key)), &mut text);
        let nonce = sealed.map_err(|_| CipherError::Damaged)?;
        let whole = [nonce.as_ref().as_slice(), &text].concat();
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(whole)))
    }

    /// What a text stands for at a key of a brick.
    pub(crate) fn open(&self, brick: &str, key: &str, text: &str) -> Result<Value, CipherError> {
        let text = text.strip_prefix(PREFIX).ok_or(CipherError::Damaged)?;
        let whole = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| CipherError::Damaged)?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or(CipherError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CipherError::Damaged)?;
        let mut sealed = sealed.to_vec();
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(bound(brick, key)), &mut sealed);
        let plain = plain.map_err(|_| CipherError::Foreign)?;
        serde_json::from_slice(plain).map_err(|_| CipherError::Damaged)
    }
}

/// What a value is bound to; a brick's name has no slash.
fn bound(brick: &str, key: &str) -> Vec<u8> {
    format!("{brick}/{key}").into_bytes()
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cipher(digit: &str) -> Cipher {
        Cipher::new(&digit.repeat(64)).unwrap()
    }

    #[test]
    fn a_value_comes_back_at_its_own_key_with_its_own_master_key_alone() {
        let one = cipher("a");
        let text = one.seal("order", "db.pin", &json!({ "pin": 7 })).unwrap();
        assert!(text.starts_with("{cipher}") && !text.contains("pin\""));
        assert_eq!(one.open("order", "db.pin", &text), Ok(json!({ "pin": 7 })));
        assert_ne!(
            one.seal("order", "db.pin", &json!({ "pin": 7 })),
            Ok(text.clone()),
            "every time another"
        );
        assert_eq!(one.open("order", "db.pan", &text), Err(CipherError::Foreign));
        assert_eq!(one.open("payment", "db.pin", &text), Err(CipherError::Foreign));
        assert_eq!(
            cipher("b").open("order", "db.pin", &text),
            Err(CipherError::Foreign)
        );
        for key in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(Cipher::new(key).err(), Some(CipherError::Key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}", tail in "[A-Za-z0-9_-]{0,80}") {
            let one = cipher("a");
            let _ = one.open("order", "a", &text);
            let text = [PREFIX, &tail].concat();
            prop_assert!(one.open("order", "a", &text).is_err());
        }
    }
}
