//! Small files that have to survive a crash at any moment, and that nobody else may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What [`create`] found.
pub(crate) enum Created {
    /// The file is new.
    Ours,
    /// Somebody else was first; the file is theirs, and complete.
    Theirs,
}

/// Puts `bytes` where `path` says. Whatever happens meanwhile, the old content or the new one is there, all of it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    with_temporary(path, bytes, |temporary| fs::rename(temporary, path))?;
    sync_directory(path)
}

/// Makes a file that did not exist. Of several processes that try, one succeeds; nobody ever sees half of it.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<Created> {
    let linked = with_temporary(path, bytes, |temporary| {
        let linked = fs::hard_link(temporary, path);
        fs::remove_file(temporary)?;
        linked
    });
    match linked {
        Ok(()) => sync_directory(path).map(|()| Created::Ours),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Theirs),
        Err(error) => Err(error),
    }
}

/// The content of a file, or nothing when there is no file; more than `limit` bytes are an error.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > limit => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
        Ok(_) => fs::read(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Renames a file that cannot be used to `….damaged-N`, so that somebody may look at it. Says where it is now.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // The hundredth is overwritten: whatever damages files again and again must not fill the disk as well.
    let aside = (1..100)
        .map(|number| path.with_file_name(format!("{name}.damaged-{number}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| path.with_file_name(format!("{name}.damaged-100")));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Makes a directory, and those above it, that only its owner can enter.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file that exists only to be locked.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    private().create(true).truncate(false).open(path)
}

fn with_temporary(path: &Path, bytes: &[u8], publish: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = path.with_file_name(format!(".{name}.{:016x}", u64::from_le_bytes(super::random())));
    let write = || {
        let mut file = private().create_new(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    let done = write().and_then(|()| publish(&temporary));
    if done.is_err() {
        // It may never have been made, or be published already; the error that counts is the first one.
        let _ = fs::remove_file(&temporary);
    }
    done
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A rename is only on disk once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(parent) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}
