//! Parsers and formatters of the small formats that servers send and people type.
//!
//! Everything here is a pure function. Nothing reads a file, a socket or a clock; a function that needs the time takes
//! it as an argument. Input is unchecked bytes or text, so every parser is total: it returns a value, `None` or an
//! error, and never panics.

#[cfg(feature = "cli")]
pub(crate) mod aria2_control;
pub(crate) mod byte_count;
pub(crate) mod challenges;
pub(crate) mod content_disposition;
pub(crate) mod cookie_file;
#[cfg(feature = "cli")]
pub(crate) mod digest_list;
mod encoded_word;
pub(crate) mod escape;
pub(crate) mod file_name;
pub(crate) mod host_book;
#[cfg(feature = "cli")]
pub(crate) mod input_list;
pub(crate) mod link_field;
pub(crate) mod metalink;
pub(crate) mod netrc;
pub(crate) mod rate_limit;
pub(crate) mod redaction;
pub(crate) mod retry_after;
pub(crate) mod set_cookie;
#[cfg(feature = "cli")]
pub(crate) mod shard;
#[cfg(feature = "cli")]
pub(crate) mod size;
pub(crate) mod span;
pub(crate) mod url_text;
