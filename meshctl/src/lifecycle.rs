//! One at a time: whoever starts processes, or decides that the seed may go, holds the lock of the home.

use std::fs::{self, File, TryLockError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use crate::home::Home;

/// Longer than a start of many agents takes, seed included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held until it is dropped; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    _file: File,
}

impl Lifecycle {
    /// Waits until no other meshctl starts or stops processes in `home`.
    ///
    /// # Errors
    /// When the disk refuses, or another meshctl holds it for a minute.
    pub(crate) async fn hold(home: &Home) -> anyhow::Result<Self> {
        home.make(home.root())?;
        let path = home.lifecycle_lock();
        let options = || fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = options().with_context(|| format!("cannot open {}", path.display()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    bail!("another meshctl has held {} for {PATIENCE:?}: is it stuck?", path.display());
                }
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(20)).await,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
    }
}
