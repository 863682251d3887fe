//! Text within a number of columns. Pure.

use unicode_width::UnicodeWidthStr as _;

/// Characters of a text for each column, at most: some take no column.
const CHARS_A_COLUMN: usize = 8;
/// Columns of a label, and the fewest of a value: a window that is narrower still wraps it.
const LABEL: usize = 12;
const NARROWEST: usize = 8;

/// The longest beginning of a text that fits into so many columns.
pub(super) fn fitting(text: &str, columns: usize) -> &str {
    // A character may change the width of the one before it, so that only whole beginnings have a width.
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let ends = ends.take((columns + 1) * CHARS_A_COLUMN);
    let end = ends.take_while(|end| text[..*end].width() <= columns).last().unwrap_or(0);
    &text[..end]
}

/// Lines of at most so many columns, broken at spaces where there are any.
fn wrapped(text: &str, columns: usize) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while rest.width() > columns {
        let fits = fitting(rest, columns);
        let one = || rest.chars().next().map_or(0, char::len_utf8);
        let end = match fits.rfind(' ') {
            // The text goes on with a word of its own.
            _ if rest[fits.len()..].starts_with(' ') => fits.len(),
            Some(space) if space > 0 => space,
            _ => fits.len().max(one()),
        };
        lines.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
    lines.push(rest);
    lines
}

/// Labelled values, aligned; without a number of columns each is one line.
pub(super) fn aligned(facts: &[(&str, String)], columns: Option<usize>) -> String {
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(LABEL + 2).max(NARROWEST));
    let mut text = String::new();
    for (label, value) in facts {
        let lines = if columns.is_some() { wrapped(value, room) } else { vec![value.as_str()] };
        for (number, line) in lines.into_iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            text += format!("{label:<LABEL$} {line}").trim_end();
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_broken_at_spaces_and_long_words_where_they_must_be() {
        let facts = [("url", "https://example.org/a".to_owned()), ("a b", "one two three four".to_owned())];
        let said = "url          https://example.org/a\na b          one two three four\n";
        assert_eq!(aligned(&facts, None), said);
        let narrow = "url          https://exa\n             mple.org/a\n\
                      a b          one two\n             three four\n";
        assert_eq!(aligned(&facts, Some(25)), narrow);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_window_and_no_word_is_lost(value in "\\PC{0,200}", columns in 22..200_usize) {
            let text = aligned(&[("label", value.clone())], Some(columns));
            prop_assert!(text.lines().all(|line| line.width() <= columns), "{text:?}");
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&text), format!("label{}", bare(&value)));
        }
    }
}
