//! Foreign names made safe to create: from a server, a URL, a list, a Metalink document or a digest list. All of them
//! become a [`ForeignName`], by one rule.

use std::borrow::Cow;
use std::fmt;
#[cfg(test)]
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::escape;

/// Longest name in most file systems, in bytes; a given directory may take less.
const MAX_NAME: usize = 255;

/// Longest suffix that haul itself appends to a name.
const LONGEST_SIDE_SUFFIX: &str = ".haul.tmp";

/// Suffixes of haul's own files beside the target.
const SIDE_SUFFIXES: [&str; 3] = [".part", ".haul", LONGEST_SIDE_SUFFIX];

/// Underscores that may be added after a name was cut: one in front and one at the end.
const UNDERSCORES: usize = 2;

/// Longest extension, in bytes with its dot, that tells the file type and survives the cut. A longer one is prose.
const LONGEST_EXTENSION: usize = 16;

/// A foreign file name, with directories above it. Each component is harmless:
///
/// - it holds no separator, no control character, and none that is invisible or reorders text;
/// - it does not begin with a dot or a blank (nothing is hidden), nor with `-`, `~` or `|`, and does not end in a dot or
///   a blank;
/// - it is no device of any system, and none of the files that haul keeps beside a target, in any case;
/// - it leaves room for the suffixes of those files.
///
/// A colon is an ordinary character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignName {
    above: Vec<String>,
    name: String,
    changed: bool,
}

impl ForeignName {
    /// Takes the file name from the path of a URL: its last segment, percent-decoded once.
    ///
    /// `None` when nothing is left, as with `https://example.org/`; then only the user can name the file. A segment
    /// that does not decode to UTF-8 keeps its percent signs, so that different URLs still give different names.
    pub(crate) fn from_url_path(path: &str) -> Option<Self> {
        let segment = path.rsplit('/').next()?;
        let decoded = percent_decode_str(segment).decode_utf8().unwrap_or(Cow::Borrowed(segment));
        Self::of_last_part(&decoded)
    }

    /// Takes the name that a server proposed: only the part after the last `/` or `\`, whatever the platform (RFC 6266
    /// §4.3).
    pub(crate) fn from_server(raw: &str) -> Option<Self> {
        Self::of_last_part(raw)
    }

    fn of_last_part(path: &str) -> Option<Self> {
        let part = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = harmless(part)?;
        Some(Self { above: Vec::new(), changed: name != part, name })
    }

    /// Parses a path in a list or a document, its components separated by `/`.
    ///
    /// # Errors
    /// A message for a path that leads out of its starting directory, or has no name.
    pub(crate) fn below(path: &str) -> Result<Self, String> {
        let parts = || path.split('/').filter(|part| !matches!(*part, "" | "."));
        if path.starts_with('/') || parts().any(|part| part == "..") {
            return Err("a name in a list may not lead out of the directory".to_owned());
        }
        let harmless_part =
            |part| harmless(part).ok_or_else(|| format!("{part:?} holds nothing that can name a file"));
        let mut above = parts().map(harmless_part).collect::<Result<Vec<_>, _>>()?;
        let changed = above.iter().ne(parts());
        let name = above.pop().ok_or("an empty name names no file")?;
        Ok(Self { above, name, changed })
    }

    /// Puts the name into a foreign directory.
    #[must_use]
    pub(crate) fn within(self, directory: &Self) -> Self {
        let above = directory.parts().map(str::to_owned).chain(self.above).collect();
        Self { above, name: self.name, changed: self.changed || directory.changed }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Directories above it, outermost first.
    pub(crate) fn above(&self) -> &[String] {
        &self.above
    }

    /// The directories and the name.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.above.iter().chain([&self.name]).map(String::as_str)
    }

    /// Returns true if it differs from the proposed name.
    #[cfg(feature = "cli")]
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
    }

    #[cfg(test)]
    pub(crate) fn to_path(&self) -> PathBuf {
        self.parts().collect()
    }
}

impl fmt::Display for ForeignName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.above {
            write!(f, "{part}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Applies the rule to one component.
fn harmless(part: &str) -> Option<String> {
    let seen = |c: &char| !escape::is_unprintable(*c) && !is_invisible(*c);
    let part: String = part.chars().filter(seen).map(|c| if is_separator(c) { '_' } else { c }).collect();
    let part = part.trim_matches(is_dot_or_blank);
    (!part.is_empty()).then(|| finished(part, MAX_NAME))
}

/// Fits `name` into a directory whose longest name has `longest` bytes, together with its side files. A name that fits
/// is unchanged.
pub(crate) fn fitted(name: &str, longest: usize) -> String {
    if name.len() + LONGEST_SIDE_SUFFIX.len() <= longest {
        return name.to_owned();
    }
    finished(name, longest)
}

/// Longest target name, in bytes, in a directory whose longest name has `longest` bytes.
pub(crate) fn longest_target(longest: usize) -> usize {
    longest.saturating_sub(LONGEST_SIDE_SUFFIX.len()).max(1)
}

/// Characters kept in a name that a file system refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// All except those refused by the file systems of Windows.
    Portable,
    /// ASCII letters, digits and those signs that every system accepts.
    Ascii,
}

/// Returns true if the character is outside the alphabet, so that some file system may refuse it.
pub(crate) fn is_refused_by(alphabet: Alphabet, c: char) -> bool {
    let refused = c.is_control() || matches!(c, '"' | '*' | '/' | ':' | '<' | '>' | '?' | '\\' | '|');
    refused || (alphabet == Alphabet::Ascii && !c.is_ascii())
}

/// Replaces with `_` the characters of `name` that a file system may refuse.
pub(crate) fn replaced(name: &str, alphabet: Alphabet) -> String {
    let name: String = name.chars().map(|c| if is_refused_by(alphabet, c) { '_' } else { c }).collect();
    let name = name.trim_end_matches(is_dot_or_blank);
    if name.is_empty() { "_".to_owned() } else { finished(name, MAX_NAME) }
}

/// Marks and shortens a name that holds no forbidden character, and no dot or blank at its ends.
fn finished(name: &str, longest: usize) -> String {
    let room = longest_target(longest);
    let whole = marked(name);
    if whole.len() <= room {
        return whole;
    }
    // Cutting may leave a dot or a blank at the end, or a new side suffix or device name, so check again.
    let cut = cut(name, room.saturating_sub(UNDERSCORES).max(1));
    match cut.trim_end_matches(is_dot_or_blank) {
        "" => "_".to_owned(),
        cut => marked(cut),
    }
}

/// Adds underscores to a name that would not mean a plain file.
fn marked(name: &str) -> String {
    let before = if name.starts_with(['-', '~', '|']) || is_device(name) { "_" } else { "" };
    let behind = if is_side_file(name) { "_" } else { "" };
    format!("{before}{name}{behind}")
}

fn is_separator(c: char) -> bool {
    matches!(c, '/' | '\\')
}

fn is_dot_or_blank(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// Returns true for format characters (Unicode category Cf) and other invisible ones (`Default_Ignorable_Code_Point`):
/// file systems that fold case treat a name with them like the one without.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Cuts `name` to at most `room` bytes, never within a character.
fn cut(name: &str, room: usize) -> String {
    let (stem, extension) = split_extension(name);
    match room.checked_sub(extension.len()) {
        Some(rest) if rest > 0 => format!("{}{extension}", &stem[..stem.floor_char_boundary(rest)]),
        _ => name[..name.floor_char_boundary(room)].to_owned(),
    }
}

/// Splits in front of the last dot, if the extension is short enough to keep.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if name.len() - dot <= LONGEST_EXTENSION => name.split_at(dot),
        _ => (name, ""),
    }
}

/// Returns true if Windows would open a device instead of a file: these names, in any case and with any extension.
fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default();
    let stem = stem.trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CLOCK$" | "CONIN$" | "CONOUT$" => true,
        other => is_numbered_port(other),
    }
}

/// Returns true for `COM0` to `LPT9`. Windows reads the superscript digits of ISO-8859-1 as digits too.
fn is_numbered_port(stem: &str) -> bool {
    let digit = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut characters = digit.unwrap_or_default().chars();
    matches!((characters.next(), characters.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

/// Returns true if the name could be that of a file haul keeps beside another target.
fn is_side_file(name: &str) -> bool {
    beside_which(name).is_some()
}

/// Returns the target beside which haul would keep a file of this name, in any case, since some file systems fold it.
pub(crate) fn beside_which(name: &str) -> Option<&str> {
    SIDE_SUFFIXES.iter().find_map(|suffix| {
        let at = name.len().checked_sub(suffix.len()).filter(|at| *at > 0)?;
        name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(suffix)).then(|| &name[..at])
    })
}

#[cfg(test)]
mod tests;
