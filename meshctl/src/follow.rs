//! Reads what is added to a log file, across its rotation.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often a file is looked at. A person does not notice less.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// The most that is read at one look.
const CHUNK: u64 = 1 << 20;

/// A line that is longer is cut there.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Where one is in a file that grows.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    open: Option<File>,
    unfinished: Vec<u8>,
}

impl Follower {
    /// From the start of what is in `path` now or will be.
    pub(crate) fn from_start(path: PathBuf) -> Self {
        Self { path, open: None, unfinished: Vec::new() }
    }

    /// From the end of what is in `path` now.
    pub(crate) fn from_end(path: PathBuf) -> Self {
        let open = File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0)).map(|_| file)).ok();
        Self { path, open, unfinished: Vec::new() }
    }

    /// The whole lines that were added since the last look. An empty answer means there are none for now.
    ///
    /// # Errors
    /// When the file cannot be read. That it is not there is no error: it may come.
    pub(crate) fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut added = Vec::new();
        let file = match &mut self.open {
            Some(file) => file,
            none => match File::open(&self.path) {
                Ok(file) => none.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
        };
        file.take(CHUNK).read_to_end(&mut added)?;
        if added.is_empty() {
            // Everything of the old file was read, so that nothing is lost by turning to the new one.
            if was_rotated(file, &self.path) {
                self.open = None;
                return Ok(self.rest().into_iter().collect());
            }
            if file.stream_position()? > file.metadata()?.len() {
                file.seek(SeekFrom::Start(0))?;
            }
        }
        self.unfinished.extend_from_slice(&added);
        let mut lines = Vec::new();
        let end = match self.unfinished.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.unfinished.len() > MAX_LINE_BYTES => self.unfinished.len(),
            None => 0,
        };
        let whole: Vec<u8> = self.unfinished.drain(..end).collect();
        lines.extend(String::from_utf8_lossy(&whole).lines().map(str::to_owned));
        Ok(lines)
    }

    /// What stands behind the last line's end, when nothing more will come.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.unfinished);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }
}

/// Whether `path` names another file by now. While it names none, the new one is yet to come.
fn was_rotated(file: &File, path: &std::path::Path) -> bool {
    let (Ok(here), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (here.dev(), here.ino()) != (there.dev(), there.ino())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::Follower;

    #[test]
    fn lines_come_once_they_are_whole_and_rotation_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let mut follower = Follower::from_start(path.clone());
        assert!(follower.lines().unwrap().is_empty());
        let mut log = fs::File::create(&path).unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(follower.lines().unwrap(), ["one"]);
        log.write_all(b"o\n").unwrap();
        assert_eq!(follower.lines().unwrap(), ["two"]);
        log.write_all(b"late\n").unwrap();
        fs::rename(&path, folder.path().join("x.1.log")).unwrap();
        fs::write(&path, "new\n").unwrap();
        assert_eq!(follower.lines().unwrap(), ["late"]);
        assert!(follower.lines().unwrap().is_empty());
        assert_eq!(follower.lines().unwrap(), ["new"]);
    }

    #[test]
    fn a_file_that_was_emptied_is_read_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        fs::write(&path, "a long line\n").unwrap();
        let mut follower = Follower::from_end(path.clone());
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert!(follower.lines().unwrap().is_empty());
        let mut log = fs::OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(b"b\n").unwrap();
        assert_eq!(follower.lines().unwrap(), ["b"]);
    }
}
