//! Encoded words (RFC 2047) in file names of some servers: `=?UTF-8?B?…?=`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Lenient base64: some encoders leave out the padding, others set trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes the encoded words of a text; `None` if it has none, or one in an unknown charset or encoding.
///
/// Blanks between two words belong to neither (§6.2). A character may straddle two words, against §5, so the bytes of
/// neighbours in one charset are joined first.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut pending: Option<(Charset, Vec<u8>)> = None;
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let (between, word) = rest.split_at(at);
        let (charset, bytes, after) = word_at(word)?;
        match &mut pending {
            Some((before, joined)) if *before == charset && is_blank(between) => joined.extend(bytes),
            _ => {
                let is_inside = pending.is_some() && is_blank(between);
                decoded.push_str(&written(pending.take())?);
                decoded.push_str(if is_inside { "" } else { between });
                pending = Some((charset, bytes));
            }
        }
        rest = after;
    }
    let last = pending.take()?;
    decoded.push_str(&written(Some(last))?);
    decoded.push_str(rest);
    Some(decoded)
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Latin1,
}

impl Charset {
    /// Parses a charset name, ignoring a language after it (RFC 2231 §5).
    fn named(name: &str) -> Option<Self> {
        let name = name.split('*').next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" => Some(Self::Utf8),
            "iso-8859-1" | "latin1" => Some(Self::Latin1),
            _ => None,
        }
    }
}

fn written(pending: Option<(Charset, Vec<u8>)>) -> Option<String> {
    match pending {
        None => Some(String::new()),
        Some((Charset::Utf8, bytes)) => String::from_utf8(bytes).ok(),
        Some((Charset::Latin1, bytes)) => Some(from_latin1(&bytes)),
    }
}

/// Parses the word at the start of `text`, and returns the text after it.
fn word_at(text: &str) -> Option<(Charset, Vec<u8>, &str)> {
    let mut fields = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let (content, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(content).ok()?,
        "Q" | "q" => quoted(content)?,
        _ => return None,
    };
    Some((Charset::named(charset)?, bytes, after))
}

/// Decodes the `Q` encoding (§4.2): `_` for a blank, `=XX` for a byte.
fn quoted(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = content.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                hexadecimal(digits)?
            }
            other => other,
        });
    }
    Some(bytes)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |byte, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(byte << 4 | u8::try_from(value).ok()?)
    })
}

/// Decodes ISO-8859-1, which is the first 256 code points of Unicode.
pub(super) fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_decoded_and_joined() {
        for (text, expected) in [
            ("=?UTF-8?B?5L2gLnppcA==?=", Some("你.zip")),
            ("=?UTF-8?B?5L2gLnppcA?=", Some("你.zip")),
            ("=?utf-8?Q?na=C3=AFve_a.txt?=", Some("naïve a.txt")),
            ("=?ISO-8859-1?Q?na=EFve?=.txt", Some("naïve.txt")),
            ("=?UTF-8*en?Q?a?= =?UTF-8?Q?b?= c", Some("ab c")),
            ("x =?UTF-8?Q?a?=", Some("x a")),
            // A character that straddles two words.
            ("=?UTF-8?Q?=E4=BD?= =?UTF-8?Q?=A0?=", Some("你")),
            ("=?UTF-8?Q??=", Some("")),
            ("=?KOI8-R?Q?a?=", None),
            ("=?UTF-8?X?a?=", None),
            ("=?UTF-8?Q?=E4?=", None),
            ("=?UTF-8?Q?=4?=", None),
            ("=?UTF-8?Q?a", None),
            ("a=?b", None),
            ("plain", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(text in "(=\\?|\\?=|\\?|utf-8|[qQbB]|=[0-9a-f]{0,2}|\\PC){0,12}") {
            let _ = decode(&text);
        }

        #[test]
        fn text_in_a_word_is_read_back(text in "\\PC{1,20}") {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
            prop_assert_eq!(decode(&format!("=?UTF-8?b?{encoded}?=")), Some(text.clone()));
            let encoded: String = text.bytes().map(|byte| format!("={byte:02X}")).collect();
            prop_assert_eq!(decode(&format!("=?UTF-8?Q?{encoded}?=")), Some(text));
        }
    }
}
