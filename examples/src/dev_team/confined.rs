//! Commands that can do no harm outside of a folder: the kernel refuses them.
//!
//! A command is run by this program, started again as `dev-team confined FOLDER COMMAND…`. That process gives up
//! (Landlock) whatever it does not need before it becomes the command: it may write in the folder only, read the
//! system's programs and the folder, connect to nobody, and signal nobody. Its time, memory, files and output are bounded.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
    path_beneath_rules,
};
use mesh::prelude::*;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::executor::Run;

/// The first word of a command line that is to be confined.
pub const WORD: &str = "confined";

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of its output is kept, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;

/// What may be read besides the folder: programs, and what they are linked with.
const READABLE: [&str; 7] = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/dev/urandom"];

/// Bounds of a command: seconds of processor time, kilobytes of memory, blocks of 512 bytes of a file.
const BOUNDS: &str = r#"ulimit -t 10 -v 1048576 -f 32768 2>/dev/null; exec "$@" 2>&1"#;

/// The folder that commands are confined to.
#[derive(Debug)]
pub struct Workspace {
    folder: PathBuf,
    program: PathBuf,
}

impl Workspace {
    /// Opens the folder, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or the kernel cannot confine a command.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let workspace = Self { folder: fs::canonicalize(folder)?, program: std::env::current_exe()? };
        let mut attempt = std::process::Command::new(&workspace.program);
        let output = attempt.arg(WORD).arg(&workspace.folder).arg("true").output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::new(format!("commands cannot be confined, so none is run: {}", why.trim())));
        }
        Ok(workspace)
    }

    /// Runs a command in the folder, with `input` at its standard input. Dropping the future ends the command.
    ///
    /// # Errors
    /// When it cannot be started. How it ended is no error.
    pub async fn run(&self, command: &[&str], input: &[u8]) -> Result<Run> {
        let mut process = Command::new(&self.program);
        process.arg(WORD).arg(&self.folder).args(["sh", "-c", BOUNDS, "sh"]).args(command);
        process.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.folder).current_dir(&self.folder);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        let mut child = process.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let work = async {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A command need not read what it is given.
                    let _ = stdin.write_all(input).await;
                }
            };
            let mut output = Vec::new();
            let read = async {
                match stdout {
                    Some(stdout) => stdout.take(MAX_OUTPUT).read_to_end(&mut output).await.map(drop),
                    None => Ok(()),
                }
            };
            let ((), read) = tokio::join!(feed, read);
            read?;
            Ok::<_, std::io::Error>((output, child.wait().await?))
        };
        let ended = timeout(PATIENCE, work).await;
        if let Some(group) = group {
            // Whatever it left behind; there is nothing when it ended in order.
            let _ = killpg(group, Signal::SIGKILL);
        }
        Ok(match ended {
            Ok(ended) => {
                let (output, status) = ended?;
                let output = String::from_utf8_lossy(&output).into_owned();
                Run { passed: status.success(), exit_code: status.code(), output }
            }
            Err(_) => Run { passed: false, exit_code: None, output: format!("it took more than {PATIENCE:?}") },
        })
    }
}

/// Becomes the command of `words`, the first of which is the folder, confined to it.
///
/// # Errors
/// When the kernel cannot confine it, or there is no such command. There is no other return.
pub fn become_confined(mut words: impl Iterator<Item = OsString>) -> Result<Infallible> {
    let missing = || Error::new(format!("write: {WORD} FOLDER COMMAND…"));
    let (folder, program) = (words.next().ok_or_else(missing)?, words.next().ok_or_else(missing)?);
    confine(Path::new(&folder)).map_err(|why| Error::new(format!("this kernel does not confine commands: {why}")))?;
    Err(std::process::Command::new(program).args(words).exec().into())
}

/// Gives up everything that a command of the workspace does not need. What files are concerned is demanded of the kernel;
/// what only newer ones know (network, signals) is given up where they do.
fn confine(folder: &Path) -> Result<(), landlock::RulesetError> {
    let (known, newest) = (ABI::V3, ABI::V6);
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(known))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .add_rules(path_beneath_rules(READABLE, AccessFs::from_read(known)))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::from_all(known)))?
        .add_rules(path_beneath_rules([folder], AccessFs::from_all(known)))?
        .restrict_self()?;
    Ok(())
}
