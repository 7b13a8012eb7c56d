//! Namespaces: rooms of the kernel in which networks and disks of our own can be broken.
//!
//! The superuser makes them just so, others in a user namespace. Each lives as long as the process that keeps it open, so
//! that nothing is left behind.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A set of namespaces, kept open by a process that does nothing.
pub struct Room {
    keeper: Child,
    /// Options of nsenter for what a room has of its own.
    kinds: Vec<&'static str>,
}

impl Room {
    /// A room with file systems of its own.
    ///
    /// # Panics
    /// When the kernel gives no namespaces.
    pub fn with_disks() -> Self {
        Self::open(Command::new("unshare"), &["-m"])
    }

    /// A room with a network of its own, in which nothing is connected but loopback.
    ///
    /// # Panics
    /// As [`Room::with_disks`].
    pub fn with_network() -> Self {
        let room = Self::open(Command::new("unshare"), &["-n"]);
        room.run("ip", &["link", "set", "lo", "up"]);
        room
    }

    /// Another room with a network of its own, which may be connected with this one.
    ///
    /// # Panics
    /// As [`Room::with_disks`].
    pub fn neighbour(&self) -> Self {
        let mut unshare = self.enter("unshare");
        unshare.arg("-n");
        let room = Self::kept_by(unshare, self.kinds.clone());
        room.run("ip", &["link", "set", "lo", "up"]);
        room
    }

    fn open(mut unshare: Command, kinds: &[&'static str]) -> Self {
        let mut kinds = kinds.to_vec();
        unshare.args(&kinds);
        if !nix::unistd::geteuid().is_root() {
            unshare.arg("-Ur");
            kinds.extend(["-U", "--preserve-credentials"]);
        }
        Self::kept_by(unshare, kinds)
    }

    fn kept_by(mut unshare: Command, kinds: Vec<&'static str>) -> Self {
        // It says when it is inside, and stays until its input ends, which is when we do.
        unshare.args(["sh", "-c", "echo in; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = unshare.spawn().expect("unshare is part of every Debian (package util-linux)");
        let mut said = [0; 3];
        let inside = std::io::Read::read_exact(keeper.stdout.as_mut().expect("it is piped"), &mut said);
        assert!(
            inside.is_ok() && said == *b"in\n",
            "this test needs namespaces of the kernel: run it as root, or allow them to users \
             (sysctl kernel.unprivileged_userns_clone=1, and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)"
        );
        Self { keeper, kinds }
    }

    /// A command that runs `program` in this room, with the arguments that are added to it.
    pub fn enter(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.keeper.id().to_string()]).args(&self.kinds).arg("--").arg(program);
        command
    }

    /// The same as `command`, in this room.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = self.enter(command.get_program());
        inside.args(command.get_args()).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Runs a program in this room, which has to succeed.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.enter(program).args(arguments).output().expect("nsenter is part of every Debian");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {}: {complaint}", arguments.join(" "));
    }

    /// Under which path others see `path` of this room.
    ///
    /// # Panics
    /// When the path is relative.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(path.strip_prefix("/").expect("the path is absolute"))
    }

    /// Connects it with `other` by a cable: `ours` is its address at this end, `theirs` at the other.
    ///
    /// # Panics
    /// As [`Room::run`].
    pub fn connect(&self, other: &Self, ours: &str, theirs: &str) {
        let there = other.keeper.id().to_string();
        self.run("ip", &["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &there]);
        for (room, address) in [(self, ours), (other, theirs)] {
            room.run("ip", &["address", "add", &format!("{address}/24"), "dev", "cable"]);
            room.run("ip", &["link", "set", "cable", "up"]);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It fails only when the keeper is gone.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
