//! The file that the agent writes.

use std::path::Path;

use brick_core::host::Host;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

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
