//! Bytes of a URL as text.

use percent_encoding::{AsciiSet, percent_encode};
use std::borrow::Cow;

/// Returns UTF-8 unchanged; in any other encoding (mostly Latin-1) the bytes beyond ASCII are percent-encoded, as
/// browsers and curl send them.
pub(crate) fn url_text(bytes: &[u8]) -> Cow<'_, str> {
    let encoded = || percent_encode(bytes, &AsciiSet::EMPTY).to_string();
    str::from_utf8(bytes).map_or_else(|_| Cow::Owned(encoded()), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_encoded_as_they_are() {
        assert_eq!(url_text(b"/a b?c=%20\t"), "/a b?c=%20\t");
        assert_eq!(url_text("/café".as_bytes()), "/café");
        assert_eq!(url_text(b"/caf\xe9 x"), "/caf%E9 x");
    }
}
