//! What only Linux has: pidfd, `/proc`, subreaper, holes in files. Everything else of the agent is portable over it.

pub(crate) mod capture;
pub(crate) mod claim;
pub mod ports;
pub(crate) mod process;
pub(crate) mod session;

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, SeekFrom};

/// Identity of this boot of the machine: pids of another boot mean nothing.
pub(crate) fn boot_id() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

/// Makes this process the parent of orphans below it, so that what a dead child leaves behind is found and reaped.
pub(crate) fn become_subreaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(io::Error::from)
}

/// Takes the lock of a file that stays locked until it is closed; whether it was free.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives the blocks of a range back to the file system; the file keeps its size and reads zeros there.
pub(crate) fn punch_hole(file: &File, from: u64, to: u64) -> io::Result<()> {
    if from >= to {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(file, flags, from, to - from).map_err(io::Error::from)
}

/// The first offset at or after `from` that holds data, the end of the file where only a hole follows.
pub(crate) fn first_data(file: &File, from: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(offset) => Ok(offset),
        Err(rustix::io::Errno::NXIO) => Ok(file.metadata()?.len().max(from)),
        Err(error) => Err(error.into()),
    }
}

/// Bytes that an ordinary user may still write to the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_punched_range_reads_zeros_and_the_rest_stays() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 64 * 1024]).unwrap();
        punch_hole(&file, 0, 32 * 1024).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 64 * 1024);
        assert_eq!(first_data(&file, 0).unwrap(), 32 * 1024);
        rustix::fs::seek(&file, SeekFrom::Start(32 * 1024 - 1)).unwrap();
        let mut two = [1_u8; 2];
        file.read_exact(&mut two).unwrap();
        assert_eq!(two, [0, b'x']);
        assert_eq!(first_data(&file, 64 * 1024).unwrap(), 64 * 1024);
    }

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = File::create(&path).unwrap();
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&File::open(&path).unwrap()).unwrap());
        drop(first);
        assert!(try_lock(&File::open(&path).unwrap()).unwrap());
    }
}
