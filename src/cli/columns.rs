//! Text within a number of columns. Pure.

use unicode_width::UnicodeWidthStr as _;

/// Characters of a text for each column, at most: some take no column.
const CHARS_A_COLUMN: usize = 8;
/// The longest beginning of a text that fits into so many columns.
pub(super) fn fitting(text: &str, columns: usize) -> &str {
    // A character may change the width of the one before it, so that only whole beginnings have a width.
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let ends = ends.take((columns + 1) * CHARS_A_COLUMN);
    let end = ends.take_while(|end| text[..*end].width() <= columns).last().unwrap_or(0);
    &text[..end]
}
