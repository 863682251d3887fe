//! Input lists: plain URLs, JSON lines, and the format of aria2.
//!
//! A list may come from an untrusted source, so it states files but not how to fetch them: few of aria2's options are
//! accepted, and its names are [`ForeignName`]s.

use super::file_name::ForeignName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::iter::{Enumerate, Peekable};
use std::path::PathBuf;
use std::str::Lines;

/// Longest line accepted, in bytes; no download needs a longer one.
const LONGEST_LINE: usize = 64 << 10;

/// One file of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Line number, counted from 1.
    pub(crate) line: usize,
    pub(crate) url: String,
    pub(crate) mirrors: Vec<String>,
    /// File name, or a path below the target directory.
    pub(crate) output: Option<ForeignName>,
    /// Directory below the target directory.
    pub(crate) directory: Option<ForeignName>,
    /// Directory anywhere, if the list may name one.
    pub(crate) place: Option<PathBuf>,
    /// Digests in the form of `--checksum`.
    pub(crate) checksums: Vec<String>,
    /// Header lines in the form of `--header`.
    pub(crate) headers: Vec<String>,
    /// Size in bytes.
    pub(crate) size: Option<u64>,
    /// Digests of pieces, by one hash function each.
    pub(crate) pieces: Vec<StatedPieces>,
}

/// Digests of the pieces of a file as a document states them, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatedPieces {
    /// Length of a piece in bytes.
    pub(crate) length: u64,
    /// Name of the hash function.
    pub(crate) function: String,
    /// Hexadecimal digits, in the order of the pieces.
    pub(crate) digests: Vec<String>,
}

/// Parses a list one file at a time, so that a long list takes no more memory than its text.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    lines: Peekable<Enumerate<Lines<'a>>>,
    /// Ignored options, with their lines, as far as the list has been read.
    pub(crate) left_out: Vec<(usize, &'a str)>,
    /// True if an option may name a directory anywhere.
    pub(crate) names_places: bool,
}

/// Reason to reject a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListError {
    pub(crate) line: usize,
    pub(crate) why: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// One line of JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    url: String,
    #[serde(default)]
    mirrors: Vec<String>,
    /// Also accepted under aria2's name.
    #[serde(alias = "out")]
    output: Option<String>,
    dir: Option<String>,
    sha256: Option<String>,
    #[serde(default)]
    checksum: Several,
    #[serde(default, alias = "header")]
    headers: Headers,
    size: Option<u64>,
}

/// One text, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or an array of strings")]
enum Several {
    One(String),
    All(Vec<String>),
}

impl Default for Several {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Several {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::All(all) => all,
        }
    }
}

/// Headers as lines, or as an object by name.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected headers as lines of \"Name: value\" or as an object")]
enum Headers {
    Lines(Several),
    Named(BTreeMap<String, Several>),
}

impl Default for Headers {
    fn default() -> Self {
        Self::Lines(Several::default())
    }
}

impl Headers {
    fn into_lines(self) -> Vec<String> {
        match self {
            Self::Lines(Several::One(text)) => {
                text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
            }
            Self::Lines(Several::All(lines)) => lines,
            Self::Named(fields) => {
                let line = |(name, values): (String, Several)| {
                    values.into_vec().into_iter().map(move |value| format!("{name}: {value}"))
                };
                fields.into_iter().flat_map(line).collect()
            }
        }
    }
}

/// Parses a list. Empty lines and lines that begin with `#` are skipped.
pub(crate) fn entries(text: &str) -> Entries<'_> {
    // Some editors put a byte order mark before everything else.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Entries { lines: text.lines().enumerate().peekable(), left_out: Vec::new(), names_places: false }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, line) = self.next_telling(|_| true)?;
        let read = self.read(number, line);
        if read.is_err() {
            // Lines after a malformed one may mean anything, so stop.
            self.lines = "".lines().enumerate().peekable();
        }
        Some(read)
    }
}

impl<'a> Entries<'a> {
    /// Takes the next line that is neither empty nor a comment, if it is `wanted`.
    fn next_telling(&mut self, wanted: impl Fn(&str) -> bool) -> Option<(usize, &'a str)> {
        let silent = |line: &str| line.trim().is_empty() || line.trim().starts_with('#');
        while self.lines.next_if(|(_, line)| silent(line) && line.len() <= LONGEST_LINE).is_some() {}
        self.lines.next_if(|(_, line)| wanted(line)).map(|(at, line)| (at + 1, line))
    }

    /// Parses an entry and the options below it.
    fn read(&mut self, number: usize, line: &'a str) -> Result<Entry, ListError> {
        let mut entry = file(line, self.names_places).map_err(|why| ListError { line: number, why })?;
        entry.line = number;
        while let Some((number, line)) = self.next_telling(|line| line.starts_with([' ', '\t'])) {
            let left_out =
                option(&mut entry, line, self.names_places).map_err(|why| ListError { line: number, why })?;
            self.left_out.extend(left_out.map(|option| (number, option)));
        }
        Ok(entry)
    }
}

/// Parses a line that names a file.
fn file(line: &str, names_places: bool) -> Result<Entry, String> {
    not_too_long(line)?;
    let told = line.trim();
    if line.starts_with([' ', '\t']) {
        return Err("an indented line is an option of the URL above it, and there is none".to_owned());
    }
    if told.starts_with('{') {
        return object(told, names_places);
    }
    // aria2 separates the sources of one file with tabs.
    let mut urls = told.split('\t').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
    let url = urls.next().unwrap_or_default();
    Ok(Entry { url, mirrors: urls.collect(), ..Entry::default() })
}

fn not_too_long(line: &str) -> Result<(), String> {
    if line.len() > LONGEST_LINE { Err("it is too long".to_owned()) } else { Ok(()) }
}

fn object(text: &str, names_places: bool) -> Result<Entry, String> {
    let object: Object = serde_json::from_str(text).map_err(|error| not_usable(&error))?;
    let mut checksums = object.checksum.into_vec();
    checksums.extend(object.sha256.map(|hex| format!("sha256:{hex}")));
    Ok(Entry {
        line: 0,
        url: object.url,
        mirrors: object.mirrors,
        output: object.output.as_deref().map(ForeignName::below).transpose()?,
        directory: object.dir.as_deref().filter(|_| !names_places).map(ForeignName::below).transpose()?,
        place: object.dir.filter(|_| names_places).map(PathBuf::from),
        checksums,
        headers: object.headers.into_lines(),
        size: object.size,
        pieces: Vec::new(),
    })
}

/// Formats a JSON error with its column only: an object is one line of the list, whose number is reported already.
fn not_usable(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
    match error.column() {
        0 => format!("not usable JSON: {why}"),
        column => format!("not usable JSON: {why}, at column {column}"),
    }
}

/// Parses an indented line, which in aria2's format is an option of the entry above; returns the option if it is
/// ignored.
fn option<'a>(entry: &mut Entry, line: &'a str, names_places: bool) -> Result<Option<&'a str>, String> {
    not_too_long(line)?;
    let Some((name, value)) = line.trim().split_once('=') else {
        return Err("an indented line is an option of the URL above it, written as name=value".to_owned());
    };
    let value = value.trim().to_owned();
    match name.trim() {
        "out" | "output" => entry.output = Some(ForeignName::below(&value)?),
        "dir" if names_places => entry.place = Some(value.into()),
        "dir" => entry.directory = Some(ForeignName::below(&value)?),
        "checksum" => entry.checksums.push(value),
        "header" => entry.headers.push(value),
        other => return Ok(Some(other)),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Entry>, ListError> {
        entries(text).collect()
    }

    fn name(name: Option<&ForeignName>) -> String {
        name.unwrap().to_string()
    }

    fn urls(text: &str) -> Vec<String> {
        parse(text).unwrap().into_iter().map(|entry| entry.url).collect()
    }

    #[test]
    fn plain_lists_are_urls_and_remarks() {
        assert_eq!(
            urls("# two\nhttp://h/a\n\n  # indented\r\nhttp://h/b  \r\n"),
            ["http://h/a", "http://h/b"]
        );
        assert!(urls("").is_empty() && urls("\n#\n").is_empty());
    }

    #[test]
    fn a_line_of_json_says_all_there_is_to_say() {
        let line = r#"{"url":"http://h/a","output":"b/c","mirrors":["http://m/a"],"sha256":"00","checksum":"md5:11"}"#;
        let entry = parse(line).unwrap().remove(0);
        assert_eq!((entry.url.as_str(), name(entry.output.as_ref())), ("http://h/a", "b/c".to_owned()));
        assert_eq!(
            (entry.mirrors, entry.checksums),
            (vec!["http://m/a".to_owned()], vec!["md5:11".into(), "sha256:00".into()])
        );
        let typo = parse("http://h/a\n{\"url\":\"http://h/b\",\"outptu\":\"x\"}").unwrap_err();
        assert_eq!(typo.line, 2);
    }

    #[test]
    fn the_lists_of_aria2_keep_what_is_about_the_file() {
        let text = "http://h/a\thttp://m/a\n  out=b\n  checksum=sha-256=00\n\tsplit=4\nhttp://h/c\n dir=d\n";
        let mut list = entries(text);
        let all: Vec<_> = list.by_ref().map(Result::unwrap).collect();
        let [first, second] = &all[..] else { panic!("{all:?}") };
        assert_eq!(
            (name(first.output.as_ref()), &first.mirrors[..]),
            ("b".to_owned(), &["http://m/a".to_owned()][..])
        );
        assert_eq!(first.checksums, ["sha-256=00"]);
        assert_eq!((second.url.as_str(), name(second.directory.as_ref())), ("http://h/c", "d".to_owned()));
        assert_eq!(list.left_out, [(4, "split")]);
    }

    // T067
    #[test]
    fn no_name_in_a_list_leads_out_of_the_directory() {
        for name in ["../x", "/etc/x", "a/../../x", "..", ".", "./.", ""] {
            let option = format!("http://h/a\n out={name}\n");
            assert_eq!(parse(&option).unwrap_err().line, 2, "{name:?}");
            let object = serde_json::json!({ "url": "http://h/a", "dir": name }).to_string();
            assert_eq!(parse(&object).unwrap_err().line, 1, "{name:?}");
        }
        assert_eq!(parse(" out=x\n").unwrap_err().line, 1);
        assert_eq!(parse("http://h/a\n out\n").unwrap_err().line, 2);
    }

    #[test]
    fn a_name_is_taken_as_out_and_as_output_and_headers_as_lines_or_by_name() {
        let lists = [
            r#"{"url":"http://h/a","out":"b","headers":{"X-A":"1","X-B":["2","3"]}}"#,
            r#"{"url":"http://h/a","output":"b","headers":["X-A: 1","X-B: 2","X-B: 3"]}"#,
            r#"{"url":"http://h/a","output":"b","header":"X-A: 1\nX-B: 2\r\n\nX-B: 3\n"}"#,
            "http://h/a\n out=b\n header=X-A: 1\n header=X-B: 2\n header=X-B: 3\n",
            "http://h/a\n output=b\n header=X-A: 1\n header=X-B: 2\n header=X-B: 3\n",
        ];
        for list in lists {
            let entry = parse(list).unwrap().remove(0);
            assert_eq!(name(entry.output.as_ref()), "b", "{list}");
            assert_eq!(entry.headers, ["X-A: 1", "X-B: 2", "X-B: 3"], "{list}");
        }
        assert!(parse(r#"{"url":"http://h/a","out":"b","output":"c"}"#).is_err());
        assert!(parse(r#"{"url":"http://h/a","headers":7}"#).unwrap_err().why.contains("headers as lines"));
    }

    #[test]
    fn each_message_has_one_number_of_a_line() {
        for wrong in [
            "{",
            "{}",
            "{\"url\":7}",
            "{\"url\":\"http://h/a\",\"typo\":1}",
            "{\"url\":\"http://h/a\"} x",
            "{\"url\":\"http://h/a\",\"headers\":7}",
            "{\"url\":\"http://h/a\",\"output\":\"..\"}",
            "http://h/a\n out=..",
            "http://h/a\n out",
        ] {
            let error = parse(&format!("http://h/b\n{wrong}")).unwrap_err().to_string();
            let words: Vec<_> = error.split(' ').collect();
            let numbered = |pair: &&[&str]| pair[0] == "line" && pair[1].starts_with(char::is_numeric);
            assert_eq!(words.windows(2).filter(numbered).count(), 1, "{error}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_list_never_panics(text in "(\\PC|[\\n\\t ={}#\"])*") {
            if let Ok(list) = parse(&text) {
                for entry in list {
                    prop_assert!(entry.output.is_none_or(|path| path.to_path().is_relative()));
                }
            }
        }
    }
}
