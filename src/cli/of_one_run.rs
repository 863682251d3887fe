//! Flags that are about the files of one run: where clients or submitters say what a job is, they have no meaning.

use super::args::Options;
use super::digests::are_given;
use crate::error::Error;

/// Refuses such flags, and `more` of the command.
///
/// # Errors
/// `Usage`, with the first one that is given.
pub(super) fn refuse(
    options: &Options,
    more: &[(&'static str, bool)],
    told: impl Fn(&str) -> String,
) -> Result<(), Error> {
    let digests = &options.digests;
    let of_files = are_given(digests) || digests.checksum_file.is_some();
    let flags = [
        ("-o", options.output.is_some()),
        ("--sha256, --checksum, --digests and --checksum-file", of_files || digests.find_checksum),
        ("--minisign", digests.minisign.is_some()),
        ("--mirror", !options.mirror.is_empty()),
        ("--range", options.range.is_some()),
        ("--adopt", options.adopt.is_some()),
        ("--shard", options.shard.is_some()),
        ("--failed", options.failed.is_some()),
        ("--dry-run", options.dry_run),
        ("--on-done and --on-error", options.on_done.is_some() || options.on_error.is_some()),
        (
            "-H, -u and --bearer-file",
            !options.header.is_empty() || options.user.is_some() || options.bearer_file.is_some(),
        ),
        ("--refresh-cmd", options.refresh_cmd.is_some()),
    ];
    match flags.iter().chain(more).find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Error::usage(told(flag))),
        None => Ok(()),
    }
}
