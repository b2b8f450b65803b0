//! Why a token is not believed.

/// Why a token is not believed. The message says what to do; [`Error::code`] is stable and machine-readable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No token came along.
    #[error("no token came with the request; send one as \"Authorization: Bearer <token>\"")]
    Missing,
    /// The text is no JWT.
    #[error("the token is no JWT: {0}")]
    Malformed(&'static str),
    /// Signed by another algorithm, or by none.
    #[error("the token is signed by \"{found}\", expected \"ES256\"; get a token from the system's issuer")]
    Algorithm {
        /// What the header names.
        found: String,
    },
    /// Names a key that is not in the trust bundle.
    #[error(
        "the token names a key (kid \"{kid}\") that this system does not trust; get a token from the system's issuer"
    )]
    UnknownKey {
        /// The key's id.
        kid: String,
    },
    /// The signature is not one of the key it names.
    #[error("the token's signature is wrong: it was changed, or signed by a foreign key")]
    Signature,
    /// The time is over.
    #[error("the token expired {ago_s} s ago; get a new one")]
    Expired {
        /// Seconds since.
        ago_s: u64,
    },
    /// The time has not come.
    #[error("the token is valid in {in_s} s only; compare the clocks of issuer and brick")]
    NotYetValid {
        /// Seconds until.
        in_s: u64,
    },
    /// For somebody else.
    #[error("the token is for audience \"{found}\", expected \"{expected}\"")]
    Audience {
        /// What is wanted here.
        expected: String,
        /// What the token names.
        found: String,
    },
    /// Of another issuer.
    #[error("the token is of issuer \"{found}\", expected \"{expected}\"")]
    Issuer {
        /// Whose tokens count.
        expected: String,
        /// What the token names.
        found: String,
    },
    /// Nobody's signature can be checked yet.
    #[error("no public keys are known yet (trust/bundle did not arrive); is control running?")]
    NoKeys,
}

impl Error {
    /// Stable code for problem documents and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Malformed(_) => "token_malformed",
            Self::Algorithm { .. } => "token_algorithm",
            Self::UnknownKey { .. } => "token_key_unknown",
            Self::Signature => "token_signature",
            Self::Expired { .. } => "token_expired",
            Self::NotYetValid { .. } => "token_not_yet_valid",
            Self::Audience { .. } => "token_audience",
            Self::Issuer { .. } => "token_issuer",
            Self::NoKeys => "token_no_keys",
        }
    }

    /// Whether the fault is on this side (503) and not in the token (401).
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::NoKeys)
    }
}
