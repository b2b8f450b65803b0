//! The folder `.brickwork/` beside the manifest: where everything of a running system is, and who may use it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::{Error, linux};

/// Paths below `.brickwork/`.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    dir: PathBuf,
}

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

const FOLDERS: [&str; 6] = ["keys", "state", "logs", "snapshots", "tokens", "run"];

impl Folder {
    /// The folder of the system in `dir`; nothing is created.
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            root: dir.join(".brickwork"),
            dir: dir.to_owned(),
        }
    }

    /// Creates what is missing, for this user alone.
    pub(crate) fn create(&self) -> Result<(), Error> {
        for path in std::iter::once(self.root.clone()).chain(FOLDERS.map(|name| self.root.join(name))) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(Error::file("create", &path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(Error::file("protect", &path))?;
        }
        Ok(())
    }

    /// Takes the lock, or says who has it.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let path = self.root.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(Error::file("open", &path))?;
        if !linux::try_lock(&file).map_err(Error::file("lock", &path))? {
            let mut pid = String::new();
            // The holder may be writing just now; an unknown pid is 0.
            let _ = file.read_to_string(&mut pid);
            return Err(Error::AlreadyRunning {
                pid: pid.trim().parse().unwrap_or(0),
                dir: self.dir.clone(),
            });
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(Error::file("write", &path))?;
        Ok(Lock(file))
    }

    /// Makes the bootstrap key at first start: 256 random bits, readable by this user alone.
    pub(crate) fn bootstrap_key(&self) -> Result<String, Error> {
        let path = self.bootstrap_key_file();
        if let Ok(text) = fs::read_to_string(&path)
            && text.trim().len() == 64
        {
            return Ok(text.trim().to_owned());
        }
        // The thread's generator is a CSPRNG that is seeded by the operating system.
        let bytes: [u8; 32] = rand::random();
        let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&path, key.as_bytes(), true).map_err(Error::file("write", &path))?;
        Ok(key)
    }

    pub(crate) fn bootstrap_key_file(&self) -> PathBuf {
        self.root.join("keys/bootstrap")
    }
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("agent.sock")
    }
    pub(crate) fn state_file(&self) -> PathBuf {
        self.root.join("agent.json")
    }
    pub(crate) fn offsets_file(&self) -> PathBuf {
        self.root.join("run/log-offsets.json")
    }
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    /// Output of a slot; `of` is its brick, or `payment@v2`.
    pub(crate) fn log(&self, of: &str, slot: u32) -> PathBuf {
        self.root.join(format!("logs/{of}.{slot}.log"))
    }
    /// Token file of a slot.
    pub(crate) fn token(&self, of: &str, slot: u32) -> PathBuf {
        self.root.join(format!("tokens/{of}.{slot}.jwt"))
    }
    pub(crate) fn tokens(&self) -> PathBuf {
        self.root.join("tokens")
    }
    /// The callers that the host proxy stands for.
    pub(crate) fn proxy(&self) -> PathBuf {
        self.root.join("run/proxy.json")
    }
    /// What a brick sees as `/etc/hosts` whose traffic is captured.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.root.join("run/hosts")
    }
    /// The slots whose traffic is captured.
    pub(crate) fn captured(&self) -> PathBuf {
        self.root.join("run/captured.json")
    }
    pub(crate) fn handover(&self) -> PathBuf {
        self.root.join("run/gateway.sock")
    }
}

/// Replaces a file at once, readable by this user alone: temporary file, optionally fsync, rename.
pub(crate) fn write_private(path: &Path, bytes: &[u8], durable: bool) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| match durable {
        true => file.sync_all(),
        false => Ok(()),
    });
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
        // What is there stays whole; the half of the new one goes.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_has_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path());
        folder.create().unwrap();
        let held = folder.lock().unwrap();
        let me = std::process::id();
        match folder.lock() {
            Err(Error::AlreadyRunning { pid, .. }) => assert_eq!(pid, me),
            other => panic!("{other:?}"),
        }
        drop(held);
        folder.lock().unwrap();
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path());
        folder.create().unwrap();
        let key = folder.bootstrap_key().unwrap();
        assert_eq!((key.len(), folder.bootstrap_key().unwrap()), (64, key));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.bootstrap_key_file()), 0o600);
        assert_eq!(mode(&folder.root), 0o700);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_private(&path, b"old", true).unwrap();
        // The temporary name leads to a full disk.
        std::os::unix::fs::symlink("/dev/full", dir.path().join("file.new")).unwrap();
        let error = write_private(&path, b"new", false).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
