//! The files that the agent writes, and whether they changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use brick_core::host::Host;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What tells one content of the file from the next.
pub(crate) type Stamp = (u64, i64, i64, u64);

/// What the file is by now; none where there is none.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

/// Who calls, and who stands behind the proxy.
pub(crate) fn read(path: &Path) -> Result<Host, String> {
    let shown = path.display();
    let said = |error: std::io::Error| format!("cannot read {shown}: {error}");
    if std::fs::metadata(path).map_err(said)?.len() > FILE_BYTES_MAX {
        return Err(format!("{shown} is larger than 4 MiB"));
    }
    let bytes = std::fs::read(path).map_err(said)?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{shown}: {error}"))
}
