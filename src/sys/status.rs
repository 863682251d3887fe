//! State of this process as proc_pid_status(5) tells it.

/// Value of a field of `/proc/self/status`; `None` where there is no such file or field.
fn field(name: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    in_status(&status, name).map(str::to_owned)
}

fn in_status<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// File mode creation mask of the process, read without changing it even for a moment.
pub(crate) fn umask() -> u32 {
    // Falls back to the usual mask: only the owner may write.
    field("Umask").and_then(|mask| u32::from_str_radix(&mask, 8).ok()).unwrap_or(0o022)
}

/// Number of threads; `None` if unknown.
#[cfg(feature = "cli")]
pub(crate) fn threads() -> Option<usize> {
    field("Threads")?.parse().ok()
}

/// Set of signals that the process ignores, a bit for each; empty if unknown.
#[cfg(feature = "cli")]
pub(super) fn ignored_signals() -> u64 {
    field("SigIgn").and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\thaul\nSigBlk:\tffff\nSigIgn:\t0000000000001003\nThreads:\t7\n";
        assert_eq!(in_status(status, "SigIgn"), Some("0000000000001003"));
        assert_eq!(in_status(status, "Sig"), None);
        assert_eq!(in_status(status, "Threads"), Some("7"));
        assert_eq!(in_status("", "Threads"), None);
    }

    #[test]
    fn the_mask_is_one() {
        assert_eq!(umask() & !0o777, 0);
    }
}
