//! One child process from start to end: wall time, processor time, peak resident memory.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Cost of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time of the client alone.
    pub(crate) cpu: Duration,
    /// Peak resident bytes. The kernel also counts the memory of the child before `exec`, which is this process's own
    /// size, so this process keeps no payload in memory.
    pub(crate) peak: u64,
}

impl Cost {
    /// Adds the cost of a following run.
    pub(crate) fn then(self, next: Self) -> Self {
        Self { wall: self.wall + next.wall, cpu: self.cpu + next.cpu, peak: self.peak.max(next.peak) }
    }
}

/// Runs the command to its end.
pub(crate) fn time(command: &mut Command) -> io::Result<(ExitStatus, Cost)> {
    let start = Instant::now();
    let child = command.spawn()?;
    wait(&child, start)
}

/// Waits for the end of a child that was started at `start`.
pub(crate) fn wait(child: &Child, start: Instant) -> io::Result<(ExitStatus, Cost)> {
    // Not `Child::wait`, which drops the resource usage. Dropping the `Child` does not wait either.
    let (status, usage) = wait4(child.id())?;
    let wall = start.elapsed();
    let cost = Cost {
        wall,
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    };
    Ok((status, cost))
}

#[allow(unsafe_code, reason = "no safe wrapper gives wait4's rusage")]
fn wait4(pid: u32) -> io::Result<(ExitStatus, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the types that wait4 writes.
    while unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) } == -1 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: zeroed is a valid rusage, and wait4 returned after filling it.
    Ok((ExitStatus::from_raw(status), unsafe { usage.assume_init() }))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
