//! A part of a file as people write it: `A-B`, `A-`, `-N`.

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// From a position up to, but not including, another one, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

/// Parses `A-B` with both positions included, `A-` or `-N`; K, M, G and T mean powers of 1024.
///
/// # Errors
/// A message with the allowed forms.
pub(crate) fn parse(text: &str) -> Result<Span, String> {
    let wrong =
        || format!("{text:?} is no range: write A-B (both included), A- or -N, as in 0-499, 10M- or -5M");
    let (first, last) = text.trim().split_once('-').ok_or_else(wrong)?;
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => Ok(Span::From(first, None)),
        (None, Some(bytes)) if first.is_empty() && bytes > 0 => Ok(Span::Last(bytes)),
        (Some(first), Some(last)) if first <= last => {
            let end = last.checked_add(1).ok_or_else(wrong)?;
            Ok(Span::From(first, Some(end)))
        }
        _ => Err(wrong()),
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale: u64 = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        "T" | "t" => 1 << 40,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_written_in_one_of_three_forms() {
        for (text, span) in [
            ("0-499", Span::From(0, Some(500))),
            ("10M-", Span::From(10 << 20, None)),
            ("-5M", Span::Last(5 << 20)),
            ("1k-1K", Span::From(1024, Some(1025))),
            ("0-0", Span::From(0, Some(1))),
        ] {
            assert_eq!(parse(text), Ok(span), "{text}");
        }
        for text in [
            "",
            "-",
            "5",
            "5-4",
            "-0",
            "a-b",
            "1-2-3",
            "+1-2",
            "1X-",
            "0-18446744073709551615",
            "18446744073709551615T-",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
