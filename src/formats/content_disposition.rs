//! The `Content-Disposition` header (RFC 6266): the file name proposed by a server.

use std::borrow::Cow;

use percent_encoding::{percent_decode, percent_decode_str};

use super::encoded_word::{self, from_latin1};
use super::file_name::ForeignName;

/// Returns the file name proposed by a `Content-Disposition` header, made safe.
pub(crate) fn file_name(header: &[u8]) -> Option<ForeignName> {
    ForeignName::from_server(&proposed(header)?)
}

/// Returns the name as the server meant it, which may be a path, look like a flag, or hold escape sequences.
///
/// - `filename*` wins over `filename` (RFC 6266 §4.3), unless it cannot be decoded; it is percent-decoded once (RFC
///   8187 §3.2).
/// - A plain `filename` may be percent-encoded, or written in the words of RFC 2047, as many servers do (RFC 6266
///   appendix C.1).
/// - Any disposition type counts, since unknown ones are to be treated as `attachment` (§4.2), and a missing
///   one is tolerated.
/// - The first of duplicate parameters counts; an empty name counts as none.
fn proposed(header: &[u8]) -> Option<String> {
    let parameters = parameters(header);
    let extended = value_of(&parameters, b"filename*").and_then(decode_extended);
    let plain = || value_of(&parameters, b"filename").map(decode_plain);
    extended.or_else(plain).filter(|name| !name.is_empty())
}

struct Parameter<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

fn value_of<'a>(parameters: &'a [Parameter<'_>], name: &[u8]) -> Option<&'a [u8]> {
    parameters
        .iter()
        .find(|parameter| parameter.name.eq_ignore_ascii_case(name))
        .map(|parameter| parameter.value.as_ref())
}

/// Returns every `name=value` in order. The disposition type has no `=` and drops out.
fn parameters(header: &[u8]) -> Vec<Parameter<'_>> {
    let mut rest = header;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (parameter, after) = take_parameter(rest);
        found.extend(parameter);
        rest = after;
    }
    found
}

/// Parses up to and including the next `;` outside a quoted string.
fn take_parameter(text: &[u8]) -> (Option<Parameter<'_>>, &[u8]) {
    let end_of_name = position(text, |byte| matches!(byte, b'=' | b';'));
    let (name, rest) = text.split_at(end_of_name);
    let Some(rest) = rest.strip_prefix(b"=") else {
        return (None, skip_separator(rest));
    };
    let (value, rest) = take_value(rest.trim_ascii_start());
    let name = name.trim_ascii();
    (Some(Parameter { name, value }), skip_separator(rest))
}

fn take_value(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let (value, rest) = take_quoted(quoted);
        return (Cow::Owned(value), rest);
    }
    let (value, rest) = text.split_at(position(text, |byte| byte == b';'));
    (Cow::Borrowed(value.trim_ascii()), rest)
}

/// Parses the inside of a quoted string (RFC 9110 §5.6.4), and returns the text after it. An unterminated string
/// extends to the end.
fn take_quoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => value.extend(bytes.next()),
            _ => value.push(byte),
        }
    }
    (value, bytes.as_slice())
}

/// Returns the text after the next `;`. Anything in front of it is junk after a quoted string.
fn skip_separator(text: &[u8]) -> &[u8] {
    let semicolon = position(text, |byte| byte == b';');
    text.get(semicolon + 1..).unwrap_or_default()
}

fn position(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| wanted(*byte)).unwrap_or(text.len())
}

/// Decodes `charset'language'percent-encoded` (RFC 8187 §3.2.1) in one of the two charsets in use.
fn decode_extended(value: &[u8]) -> Option<String> {
    let mut fields = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (fields.next()?, fields.next()?, fields.next()?);
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    let name = match charset.to_ascii_lowercase().as_slice() {
        b"utf-8" => String::from_utf8(bytes).ok(),
        b"iso-8859-1" => Some(from_latin1(&bytes)),
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

/// Decodes a plain `filename`: ISO-8859-1 by the letter and UTF-8 in practice (RFC 6266 appendix C.3). Text that
/// happens to be valid UTF-8 is hardly ever anything else. The same goes for encoded words, and for percent-encoded
/// bytes that form UTF-8: browsers decode them.
fn decode_plain(value: &[u8]) -> String {
    let name = str::from_utf8(value).map_or_else(|_| from_latin1(value), str::to_owned);
    if let Some(words) = encoded_word::decode(&name) {
        return words;
    }
    if let Some(extended) = decode_extended(value).filter(|_| name.contains("''")) {
        return extended;
    }
    match percent_decode_str(&name).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => name,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(table: &[(&str, Option<&str>)]) {
        for (header, expected) in table {
            assert_eq!(proposed(header.as_bytes()).as_deref(), *expected, "{header}");
        }
    }

    #[test]
    fn a_plain_name_is_a_token_or_a_quoted_string() {
        check(&[
            ("attachment; filename=a.iso", Some("a.iso")),
            ("attachment; filename=\"a b.iso\"", Some("a b.iso")),
            ("attachment; filename=\"a;b=c.iso\"", Some("a;b=c.iso")),
            (r#"attachment; filename="a\"b\\c""#, Some("a\"b\\c")),
            ("attachment; filename=a b.iso ; x=y", Some("a b.iso")),
        ]);
    }

    #[test]
    fn an_extended_name_wins_wherever_it_stands() {
        check(&[
            ("attachment; filename=a; filename*=UTF-8''b", Some("b")),
            ("attachment; filename*=UTF-8''b; filename=a", Some("b")),
        ]);
    }

    #[test]
    fn an_extended_name_that_cannot_be_decoded_gives_way_to_the_plain_one() {
        check(&[
            ("attachment; filename=a; filename*=UTF-8''%ff", Some("a")),
            ("attachment; filename=a; filename*=KOI8-R''b", Some("a")),
            ("attachment; filename=a; filename*=b", Some("a")),
            ("attachment; filename=a; filename*=UTF-8''", Some("a")),
            ("attachment; filename*=UTF-8''%ff", None),
        ]);
    }

    #[test]
    fn an_extended_name_is_decoded_once_from_its_charset() {
        check(&[
            ("attachment; filename*=UTF-8''%e2%82%ac%20rates", Some("€ rates")),
            ("attachment; filename*=utf-8'en'%252e%252e%252fx", Some("%2e%2e%2fx")),
            ("attachment; filename*=ISO-8859-1''%a3%20rates", Some("£ rates")),
            ("attachment; filename*=\"UTF-8''a%20b\"", Some("a b")),
            ("attachment; filename*=UTF-8''it's", Some("it's")),
        ]);
    }

    #[test]
    fn the_disposition_type_does_not_matter() {
        check(&[
            ("inline; filename=a", Some("a")),
            ("x-unheard-of; filename=a", Some("a")),
            ("filename=a", Some("a")),
            (";;; filename=a", Some("a")),
        ]);
    }

    #[test]
    fn names_of_parameters_are_matched_in_any_case_and_with_any_whitespace() {
        check(&[
            ("ATTACHMENT;FILENAME=a", Some("a")),
            ("attachment ;\t FileName  =  \"a\"  ; z", Some("a")),
            ("attachment; xfilename=b; filename =a", Some("a")),
        ]);
    }

    #[test]
    fn of_two_equal_parameters_the_first_counts() {
        check(&[
            ("attachment; filename=a; filename=b", Some("a")),
            ("attachment; filename*=UTF-8''a; filename*=UTF-8''b", Some("a")),
        ]);
    }

    #[test]
    fn a_header_without_a_name_gives_none() {
        check(&[
            ("", None),
            ("attachment", None),
            ("attachment; size=3", None),
            ("attachment; filename", None),
            ("attachment; filename=", None),
            ("attachment; filename=\"\"", None),
        ]);
    }

    #[test]
    fn a_quoted_string_that_never_ends_is_taken_to_the_end() {
        check(&[("attachment; filename=\"a; b", Some("a; b")), ("attachment; filename=\"a\\", Some("a"))]);
    }

    #[test]
    fn a_parameter_inside_a_quoted_string_is_not_a_parameter() {
        check(&[("attachment; x=\"; filename=b\"; filename=a", Some("a"))]);
    }

    #[test]
    fn a_path_is_returned_as_the_server_gave_it() {
        check(&[
            ("attachment; filename=../../x", Some("../../x")),
            ("attachment; filename*=UTF-8''..%2Fx", Some("../x")),
        ]);
    }

    #[test]
    fn a_plain_name_that_is_not_utf8_is_read_as_latin1() {
        let name = proposed(b"attachment; filename=\"na\xefve\"");
        assert_eq!(name.as_deref(), Some("naïve"));
    }

    #[test]
    fn a_plain_name_may_be_percent_encoded_or_in_encoded_words() {
        check(&[
            ("attachment; filename=\"%E4%BD%A0.zip\"", Some("你.zip")),
            ("attachment; filename=a%20b.zip", Some("a b.zip")),
            ("attachment; filename=\"UTF-8''%E4%BD%A0.zip\"", Some("你.zip")),
            ("attachment; filename=\"it''s.zip\"", Some("it''s.zip")),
            ("attachment; filename=\"100% sure.zip\"", Some("100% sure.zip")),
            ("attachment; filename=\"%ff.zip\"", Some("%ff.zip")),
            ("attachment; filename=\"=?UTF-8?B?5L2gLnppcA==?=\"", Some("你.zip")),
            ("attachment; filename==?utf-8?q?=E4=BD=A0_a.zip?=", Some("你 a.zip")),
            ("attachment; filename=\"=?UTF-8?X?a?=\"", Some("=?UTF-8?X?a?=")),
        ]);
    }

    #[test]
    fn a_name_that_was_decoded_is_made_safe() {
        for header in [
            "attachment; filename=\"..%2F..%2F.profile\"",
            "attachment; filename=\"=?UTF-8?Q?../../.profile?=\"",
            "attachment; filename*=UTF-8''..%2F..%2F.profile",
        ] {
            assert_eq!(file_name(header.as_bytes()).map(|name| name.to_string()).as_deref(), Some("profile"));
        }
    }

    proptest! {
        #[test]
        fn parsing_a_header_never_panics(header in any::<Vec<u8>>()) {
            let _ = file_name(&header);
        }

        #[test]
        fn parsing_something_like_a_header_never_panics(
            header in "(attachment|inline)?(; ?(filename\\*?|x)=?(UTF-8''|\")?[a%0-9\\\\\";é]{0,12}\"?){0,5}",
        ) {
            let _ = file_name(header.as_bytes());
        }

        #[test]
        fn a_quoted_name_is_read_back(name in "[^\\p{Cc}%=]{1,30}") {
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("attachment; filename=\"{escaped}\"");
            prop_assert_eq!(proposed(header.as_bytes()), Some(name));
        }
    }
}
