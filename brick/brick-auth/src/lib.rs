//! Who may call: tokens of the system's issuer verified by its public keys, and the process's own token.
//!
//! Tokens are ES256 JWTs (RFC 7519) of one issuer whose keys arrive over the bus as `trust/bundle`, so a brick verifies
//! without asking anybody, and goes on doing so while control is down. Two kinds exist: *user* tokens, with the system
//! as audience, and *platform* tokens (`<system>:platform`) by which processes and operators show who they are.
//!
//! What always holds: no algorithm but ES256 is accepted; a token that was never verified against a key of the present
//! bundle is never believed; secrets do not appear in `Debug`.

pub mod admit;
pub mod bearer;
pub mod claims;
pub mod own_token;
pub mod verifier;

mod cache;
mod error;
mod keys;

pub use admit::{Admitted, Refusal, Shown, admit};
pub use bearer::bearer;
pub use claims::{AREAS, Claims, is_for_operators};
pub use error::Error;
pub use own_token::OwnToken;
pub use verifier::{Options, Verifier};

/// Name of the resource on the bus that carries issuer, system and public keys.
pub const TRUST_BUNDLE: &str = "trust/bundle";

/// Name of the header in which a process shows its own token, a bare JWT.
pub const IDENTITY_HEADER: &str = "x-brick-identity";
