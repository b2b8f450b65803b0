//! The process's own token: a file that the agent rewrites before the token expires.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brick_core::Incarnation;
use parking_lot::Mutex;

use crate::Claims;

/// How often the file is looked at, at most.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Longest token that is read.
const TOKEN_BYTES_MAX: u64 = 8 * 1024;

/// By what this process shows who it is. Cheap to clone; its text never appears in `Debug`.
#[derive(Clone)]
pub struct OwnToken(Arc<Inner>);

struct Inner {
    token: ArcSwapOption<Arc<str>>,
    file: Option<Follow>,
}

struct Follow {
    path: PathBuf,
    started: Instant,
    /// Milliseconds after `started` from when the file is looked at again.
    next_check_ms: AtomicU64,
    stamp: Mutex<Option<Stamp>>,
}

/// What tells one content of the file from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl OwnToken {
    /// Follows a file with one line. A file that is missing, empty or no token leaves the last good token in use.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let token = Self(Arc::new(Inner {
            token: ArcSwapOption::empty(),
            file: Some(Follow {
                path: path.into(),
                started: Instant::now(),
                next_check_ms: AtomicU64::new(0),
                stamp: Mutex::new(None),
            }),
        }));
        token.get();
        token
    }

    /// One that never changes, for tests and tools.
    pub fn fixed(text: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Inner {
            token: ArcSwapOption::from_pointee(text.into()),
            file: None,
        }))
    }

    /// None at all: for bricks that run alone.
    pub fn none() -> Self {
        Self(Arc::new(Inner {
            token: ArcSwapOption::empty(),
            file: None,
        }))
    }

    /// The token now. Looks at the file at most once a second and reads it only where it changed.
    pub fn get(&self) -> Option<Arc<str>> {
        self.get_at(Instant::now())
    }

    /// The token now, unless it names another start of this process. One that starts while control is away finds the
    /// token of the process before it: it may be called with, but what follows and acknowledges with it counts for
    /// that process, until the agent has got a new one.
    pub fn of(&self, incarnation: Incarnation) -> Option<Arc<str>> {
        self.get().filter(|token| {
            let named = named(token);
            named.is_none_or(|named| named == incarnation.to_string())
        })
    }

    fn get_at(&self, now: Instant) -> Option<Arc<str>> {
        if let Some(follow) = &self.0.file
            && follow.is_due(now)
            && let Some(text) = follow.read_changed()
        {
            self.0.token.store(Some(Arc::new(text)));
        }
        self.0.token.load().as_deref().cloned()
    }
}

impl Follow {
    /// True for one caller in each period.
    fn is_due(&self, now: Instant) -> bool {
        let now_ms = millis(now.saturating_duration_since(self.started));
        let next = self.next_check_ms.load(Ordering::Relaxed);
        now_ms >= next
            && self
                .next_check_ms
                .compare_exchange(
                    next,
                    now_ms + millis(CHECK_EVERY),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    fn read_changed(&self) -> Option<Arc<str>> {
        let mut last = self.stamp.lock();
        let meta = std::fs::metadata(&self.path).ok()?;
        let stamp = Stamp {
            modified: meta.modified().ok(),
            bytes: meta.len(),
        };
        if *last == Some(stamp) || stamp.bytes > TOKEN_BYTES_MAX {
            return None;
        }
        let text = std::fs::read_to_string(&self.path).ok()?;
        let token = text.trim();
        let plausible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if plausible {
            *last = Some(stamp);
        }
        plausible.then(|| token.into())
    }
}

impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnToken")
            .field("file", &self.0.file.as_ref().map(|follow| &follow.path))
            .field("token", &self.0.token.load().as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

/// The incarnation that a token is of, as far as it says so; nobody verifies it here.
fn named(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok()?.incarnation
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_file_is_read_again_but_not_more_often_than_each_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let start = Instant::now();
        let token = OwnToken::file(&path);
        assert_eq!(token.get_at(start), None);
        std::fs::write(&path, "first\n").unwrap();
        let at = |seconds| token.get_at(start + Duration::from_secs(seconds));
        assert_eq!(at(2).as_deref(), Some("first"));
        std::fs::write(&path, "the-second\n").unwrap();
        assert_eq!(at(2).as_deref(), Some("first"));
        assert_eq!(at(4).as_deref(), Some("the-second"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(at(6).as_deref(), Some("the-second"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(at(8).as_deref(), Some("the-second"));
        std::fs::write(&path, "no token\nat all").unwrap();
        assert_eq!(at(10).as_deref(), Some("the-second"));
    }

    #[test]
    fn the_token_of_the_process_before_is_none_of_this_one() {
        let (before, now) = (Incarnation::new(), Incarnation::new());
        let claims = serde_json::json!({ "iss": "i", "aud": "a", "sub": "brick:order", "exp": 1, "incarnation": before });
        let token = OwnToken::fixed(format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string())));
        assert_eq!(token.of(now), None);
        assert_eq!(token.of(before), token.get());
        let other = OwnToken::fixed("what says nothing of it");
        assert_eq!(other.of(now), other.get());
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = OwnToken::fixed("eyJsecret");
        assert!(!format!("{token:?}").contains("eyJ"));
        assert_eq!(token.get().as_deref(), Some("eyJsecret"));
        assert_eq!(OwnToken::none().get(), None);
    }
}
