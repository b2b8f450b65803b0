//! Passwords as argon2id hashes (RFC 9106), computed by a bounded number of workers.
//!
//! One hash costs about 16 ms and 19 MiB; without a bound, a burst of sign-ins would take the whole machine.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use brickwork::Problem;
use tokio::sync::Semaphore;

/// How many callers may wait for a worker; further ones are told to come back.
const WAITING_MAX: usize = 64;

/// The workers.
#[derive(Debug, Clone)]
pub(super) struct Passwords {
    workers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Passwords {
    /// At most `workers` hashes at a time.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            queue: Arc::new(Semaphore::new(workers + WAITING_MAX)),
        }
    }

    /// Hashes with a random salt; the answer is a PHC string.
    pub(super) async fn hash(&self, password: String) -> Result<String, Problem> {
        let hashed = self.work(move || {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
        });
        hashed.await?.map_err(|error| {
            tracing::error!(%error, "cannot hash a password");
            Problem::internal()
        })
    }

    /// Whether the password fits the hash; without a hash the same work is done and the answer is no.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        self.work(move || match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok(),
            _ => {
                let _ = Argon2::default().hash_password(password.as_bytes());
                false
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy =
            || Problem::unavailable("busy", "too many people sign in right now; try again in a moment");
        let _place = self.queue.try_acquire().map_err(|_| busy())?;
        let _worker = self.workers.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(job)
            .await
            .map_err(|_| Problem::internal())
    }
}
