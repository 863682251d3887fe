//! Small files that the user names: profiles and tokens.

use crate::sys;
use std::io::Read as _;
use std::path::Path;

/// Files of more bytes are not read to their end.
const LONGEST: u64 = 1 << 20;

/// Text of a file that the user names.
pub(super) fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    sys::open_following(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
