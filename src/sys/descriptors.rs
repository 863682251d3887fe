//! File descriptors and their limit.

use super::Errno;
use rustix::process::{Resource, getrlimit};
use std::io;

/// Returns true if a call failed because the process, or the system, has no descriptor left.
pub(crate) fn are_used_up(error: &io::Error) -> bool {
    let none_left = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| none_left.contains(&code))
}

/// Maximum number of open descriptors.
pub(crate) fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_descriptors_is_one() {
        for (code, lack) in [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::CONNREFUSED, false)] {
            assert_eq!(are_used_up(&io::Error::from(code)), lack, "{code:?}");
        }
        assert!(!are_used_up(&io::Error::other("too many open files")));
        assert!(limit() > 0);
    }
}
