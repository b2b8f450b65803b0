//! What can go wrong while identity starts or works.

use std::path::PathBuf;

/// Why identity cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error("the store of identity failed")]
    Store(#[from] brick_state::Error),
    /// The bootstrap key cannot be read.
    #[error("cannot read the bootstrap key {}", .path.display())]
    BootstrapKey {
        /// Its file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the bootstrap key.
    #[error(
        "the bootstrap key {path} has mode {mode:o}, expected 600; run `chmod 600 {path}`",
        path = .path.display()
    )]
    BootstrapKeyMode {
        /// Its file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The bootstrap key holds too little.
    #[error("the bootstrap key {} holds fewer than 32 characters; remove it and start the system again", .path.display())]
    BootstrapKeyShort {
        /// Its file.
        path: PathBuf,
    },
    /// The key pair cannot be made, or the stored one is no P-256 key.
    #[error("{0}")]
    Key(&'static str),
    /// A token cannot be signed.
    #[error("a token cannot be signed")]
    Sign,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random,
}
