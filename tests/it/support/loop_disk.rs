//! A file system in a file of its own: it can be small, and a copy of it at any instant is its state after a power cut.
//! Needs root, loop devices and the mkfs programs.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::haul::Haul;

/// A mounted file system; unmounted when dropped.
pub(crate) struct LoopDisk {
    kind: &'static str,
    directory: TempDir,
}

impl LoopDisk {
    /// Creates and mounts one; `None`, with a note, if that is not possible.
    pub(crate) fn make(kind: &'static str, mib: u64) -> Option<Self> {
        let disk = Self { kind, directory: tempfile::Builder::new().prefix("haul-disk-").tempdir().unwrap() };
        let image = disk.image();
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        if !done(Command::new(format!("mkfs.{kind}")).arg(&image)) {
            super::left_out(&format!("mkfs.{kind} is not installed"));
            return None;
        }
        if !disk.mount() {
            // The permission depends on the machine, not on its installed programs.
            eprintln!("DID NOT RUN: no {kind} can be mounted here");
            return None;
        }
        Some(disk)
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn mount(&self) -> bool {
        std::fs::create_dir_all(self.root()).unwrap();
        let mount = ["-t", self.kind, "-o", "loop"];
        done(Command::new("mount").args(mount).arg(self.image()).arg(self.root()))
    }

    /// Copies the current content of the disk, without anything that the kernel still has in memory.
    pub(crate) fn as_it_stands(&self) -> PowerlessDisk {
        let directory = tempfile::Builder::new().prefix("haul-disk-").tempdir().unwrap();
        let copy = LoopDisk { kind: self.kind, directory };
        assert!(done(Command::new("cp").arg("--sparse=always").arg(self.image()).arg(copy.image())));
        PowerlessDisk(copy)
    }

    /// The program, working on this disk.
    pub(crate) fn haul(&self) -> Haul {
        Haul::new(&self.root()).env("HOME", self.directory.path())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }
}

/// A disk after a power cut, not mounted yet. Its original has to be unmounted first: the kernel does not mount two
/// file systems with the same id.
pub(crate) struct PowerlessDisk(LoopDisk);

impl PowerlessDisk {
    /// Mounts it again, replaying its journal.
    pub(crate) fn mounted(self) -> LoopDisk {
        assert!(self.0.mount(), "the copy cannot be mounted");
        self.0
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if !done(Command::new("umount").arg(self.root())) {
            done(Command::new("umount").arg("-l").arg(self.root()));
        }
    }
}

fn done(command: &mut Command) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env("PATH", path).output().is_ok_and(|output| output.status.success())
}
