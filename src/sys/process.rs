//! This process, and those that it starts.

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, setrlimit};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

pub(crate) use super::status::threads;

/// Process group of a program that was started as its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(Pid);

impl Group {
    /// Group that the process with this number leads; `None` if there is no such number.
    pub(crate) fn of(leader: u32) -> Option<Self> {
        Pid::from_raw(i32::try_from(leader).ok()?).map(Self)
    }

    /// Kills all processes of the group.
    pub(crate) fn kill(self) {
        // The group may be gone already.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Path of the program that was run, whatever name it was given.
pub(crate) fn executed() -> PathBuf {
    PathBuf::from(rustix::param::linux_execfn().to_string_lossy().into_owned())
}

/// Name of this machine, as uname(2) has it.
#[cfg(feature = "fleet")]
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns true if `count` more files can be opened.
pub(crate) fn can_open(count: usize) -> bool {
    let open = |_| rustix::io::dup(std::io::stderr());
    (0..count).map(open).collect::<Result<Vec<_>, _>>().is_ok()
}

/// Raises the limit of open files to its maximum, and returns it; `None` if there is none.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// A second handle of the standard input, without the buffer of the standard library.
///
/// # Errors
/// If there is no descriptor left, or no standard input.
pub(crate) fn standard_input() -> io::Result<File> {
    std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// A second handle of the standard output, without the line buffer of the standard library.
///
/// # Errors
/// If there is no descriptor left, or no standard output.
pub(crate) fn standard_output() -> io::Result<File> {
    std::io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// A second handle of the standard error stream.
///
/// # Errors
/// If there is no descriptor left, or no such stream.
pub(crate) fn standard_error() -> io::Result<File> {
    std::io::stderr().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_group_has_a_number_above_zero() {
        assert_eq!(Group::of(0), None);
        assert_eq!(Group::of(u32::MAX), None);
        assert!(Group::of(std::process::id()).is_some());
    }
}
