//! A file system on which 10 TB can be reserved, and which uses space only for written data.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tools::{clean, find};
use crate::workshop::Workshop;

const SIZE: u64 = 11 << 40;

/// XFS in a sparse file, mounted. A file of 10 TB is too long for some other file systems.
pub(crate) struct SparseDisk {
    root: PathBuf,
}

impl SparseDisk {
    /// Creates and mounts an empty one, in place of any earlier one.
    ///
    /// The error is the reason that this is not possible here.
    pub(crate) fn mount(workshop: &Workshop) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount a file system that can reserve 10 TB".to_owned());
        }
        let make = find("mkfs.xfs").ok_or("mkfs.xfs is not installed: apt-get install xfsprogs")?;
        let (image, root) = files(workshop).map_err(|error| format!("no sparse file: {error}"))?;
        run(clean(make).args(["-q", "-m", "reflink=0", "-l", "size=64m"]).arg(&image))?;
        run(clean("mount").args(["-o", "loop"]).arg(&image).arg(&root))?;
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for SparseDisk {
    fn drop(&mut self) {
        // A failure to unmount shows at the next mount, which fails.
        let _ = run(clean("umount").arg(&self.root));
    }
}

/// Creates a sparse file, and a directory to mount it on.
fn files(workshop: &Workshop) -> io::Result<(PathBuf, PathBuf)> {
    let directory = workshop.fresh("sparse")?;
    let (image, root) = (directory.join("image"), directory.join("mounted"));
    File::create(&image)?.set_len(SIZE)?;
    fs::create_dir(&root)?;
    Ok((image, root))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}: {}", output.status, said.lines().last().unwrap_or("no message")))
}
