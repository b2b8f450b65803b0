//! Certificates and keys in files, which are read again when they change.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Largest file of a certificate or key.
const BYTES_MAX: u64 = 1 << 20;

/// What tells one content of a file from the next, inode, time of change and length; none where it cannot be seen. A file
/// that another replaced is another, also where both were written in the same moment.
pub type Stamp = Option<(u64, i64, i64, u64)>;

/// The stamp of what the file holds now.
pub fn stamp(path: impl AsRef<Path>) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

/// All that the file holds.
///
/// # Errors
/// It cannot be read, or holds more than 1 MiB.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > BYTES_MAX {
        let larger = io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB");
        return Err(larger);
    }
    std::fs::read(path)
}
