//! Input lists: plain URLs, JSON lines, and the format of aria2.
//!
//! A list may come from an untrusted source, so it states files but not how to fetch them: few of aria2's options are
//! accepted, and its names are [`ForeignName`]s.

use super::file_name::ForeignName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::path::PathBuf;

/// Longest line accepted, in bytes; no download needs a longer one.
const LONGEST_LINE: usize = 64 << 10;

/// Most bytes of the options of one file.
const MOST_OPTIONS: usize = 1 << 20;

/// One file of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Line number, counted from 1.
    pub(crate) line: usize,
    /// Position of the first byte of its line in the text.
    pub(crate) position: u64,
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
    /// Ignored options, with their lines.
    pub(crate) left_out: Vec<(usize, String)>,
}

/// Parses a list one file at a time, and keeps nothing of those before. After an error it goes on with the next file.
#[derive(Debug)]
pub(crate) struct Entries<R> {
    lines: NumberedLines<R>,
    /// True if an option may name a directory anywhere.
    pub(crate) names_places: bool,
    /// True if a file is complete with its line, so that nothing waits for the next line.
    pub(crate) one_a_line: bool,
}

/// Lines of a text that is read as it comes, each of bounded length.
#[derive(Debug)]
struct NumberedLines<R> {
    reader: R,
    /// Number of bytes and of lines that were read.
    position: u64,
    number: usize,
    /// Line that was read and not taken.
    ahead: Option<Line>,
    has_ended: bool,
}

#[derive(Debug)]
struct Line {
    number: usize,
    position: u64,
    /// True for an option in aria2's format.
    is_indented: bool,
    /// Without its end; an error says why it cannot be used.
    text: Result<String, String>,
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

/// Parses a text. Empty lines and lines that begin with `#` are skipped.
pub(crate) fn entries(text: &str) -> Entries<&[u8]> {
    Entries::new(text.as_bytes())
}

impl<R: BufRead> Entries<R> {
    /// Parses what `reader` gives, line by line.
    pub(crate) fn new(reader: R) -> Self {
        let lines = NumberedLines { reader, position: 0, number: 0, ahead: None, has_ended: false };
        Self { lines, names_places: false, one_a_line: false }
    }

    /// Parses an entry and the options below it.
    fn read(&mut self, line: Line) -> Result<Entry, ListError> {
        let Line { number, position, is_indented, text } = line;
        let at = |line: usize| move |why: String| ListError { line, why };
        let text = text.map_err(at(number))?;
        if is_indented {
            return Err(at(number)(self.stray_option().to_owned()));
        }
        let mut entry = file(&text, self.names_places).map_err(at(number))?;
        (entry.line, entry.position) = (number, position);
        let mut length = 0;
        while let Some(Line { number, text, .. }) = self.next_option() {
            let text = text.map_err(at(number))?;
            length += text.len();
            if length > MOST_OPTIONS {
                return Err(at(number)("there are too many options of one URL".to_owned()));
            }
            if option(&mut entry, &text, self.names_places).map_err(at(number))? {
                let name = text.split('=').next().unwrap_or_default().trim().to_owned();
                entry.left_out.push((number, name));
            }
        }
        Ok(entry)
    }

    fn next_option(&mut self) -> Option<Line> {
        if self.one_a_line {
            return None;
        }
        self.lines.next_telling(|line| line.is_indented)
    }

    fn stray_option(&self) -> &'static str {
        if self.one_a_line {
            "an indented line is an option of the URL above it, which has begun: give its options in its own line, as JSON"
        } else {
            "an indented line is an option of the URL above it, and there is none"
        }
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next_telling(|_| true)?;
        let read = self.read(line);
        if read.is_err() {
            // The options of a file that is refused belong to no other.
            while self.next_option().is_some() {}
        }
        Some(read)
    }
}

impl<R: BufRead> NumberedLines<R> {
    /// Takes the next line that is neither empty nor a comment, if it is `wanted`.
    fn next_telling(&mut self, wanted: impl Fn(&Line) -> bool) -> Option<Line> {
        let silent = |line: &Line| {
            line.text.as_ref().is_ok_and(|text| text.trim().is_empty() || text.trim().starts_with('#'))
        };
        while self.peek().is_some_and(silent) {
            self.ahead = None;
        }
        if wanted(self.peek()?) { self.ahead.take() } else { None }
    }

    fn peek(&mut self) -> Option<&Line> {
        if self.ahead.is_none() && !self.has_ended {
            self.ahead = self.read().unwrap_or_else(|error| {
                self.has_ended = true;
                let text = Err(format!("it cannot be read: {error}"));
                let (number, position) = (self.number + 1, self.position);
                Some(Line { number, position, is_indented: false, text })
            });
            self.has_ended |= self.ahead.is_none();
        }
        self.ahead.as_ref()
    }

    /// Reads a line; of one that is too long only the beginning is kept.
    fn read(&mut self) -> io::Result<Option<Line>> {
        let (position, most) = (self.position, LONGEST_LINE as u64 + 2);
        let mut bytes = Vec::new();
        let mut length = self.reader.by_ref().take(most).read_until(b'\n', &mut bytes)? as u64;
        if length == 0 {
            return Ok(None);
        }
        if length == most && !bytes.ends_with(b"\n") {
            length += self.reader.skip_until(b'\n')? as u64;
        }
        self.position += length;
        self.number += 1;
        let is_indented = bytes.starts_with(b" ") || bytes.starts_with(b"\t");
        let text = line_text(bytes, position == 0);
        Ok(Some(Line { number: self.number, position, is_indented, text }))
    }
}

/// Text of a line, without its end.
fn line_text(mut bytes: Vec<u8>, is_first: bool) -> Result<String, String> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.len() > LONGEST_LINE {
        return Err("it is too long".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())?;
    // Some editors put a byte order mark before everything else.
    match text.strip_prefix('\u{feff}').filter(|_| is_first) {
        Some(rest) => Ok(rest.to_owned()),
        None => Ok(text),
    }
}

/// Parses a line that names a file.
fn file(line: &str, names_places: bool) -> Result<Entry, String> {
    let told = line.trim();
    if told.starts_with('{') {
        return object(told, names_places);
    }
    // aria2 separates the sources of one file with tabs.
    let mut urls = told.split('\t').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
    let url = urls.next().unwrap_or_default();
    Ok(Entry { url, mirrors: urls.collect(), ..Entry::default() })
}

fn object(text: &str, names_places: bool) -> Result<Entry, String> {
    let object: Object = serde_json::from_str(text).map_err(|error| not_usable(&error))?;
    let mut checksums = object.checksum.into_vec();
    checksums.extend(object.sha256.map(|hex| format!("sha256:{hex}")));
    Ok(Entry {
        url: object.url,
        mirrors: object.mirrors,
        output: object.output.as_deref().map(ForeignName::below).transpose()?,
        directory: object.dir.as_deref().filter(|_| !names_places).map(ForeignName::below).transpose()?,
        place: object.dir.filter(|_| names_places).map(PathBuf::from),
        checksums,
        headers: object.headers.into_lines(),
        size: object.size,
        ..Entry::default()
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

/// Parses an indented line, which in aria2's format is an option of the entry above; returns true if the option is ignored.
fn option(entry: &mut Entry, line: &str, names_places: bool) -> Result<bool, String> {
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
        _ => return Ok(true),
    }
    Ok(false)
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
        let all = parse(text).unwrap();
        let [first, second] = &all[..] else { panic!("{all:?}") };
        assert_eq!(
            (name(first.output.as_ref()), &first.mirrors[..]),
            ("b".to_owned(), &["http://m/a".to_owned()][..])
        );
        assert_eq!(first.checksums, ["sha-256=00"]);
        assert_eq!((second.url.as_str(), name(second.directory.as_ref())), ("http://h/c", "d".to_owned()));
        assert_eq!(first.left_out, [(4, "split".to_owned())]);
        assert_eq!(
            [first, second].map(|entry| (entry.line, &text[entry.position as usize..][..10])),
            [(1, "http://h/a"), (5, "http://h/c")]
        );
    }

    #[test]
    fn after_a_line_that_cannot_be_used_the_list_goes_on_with_the_next_file() {
        let long = "x".repeat(LONGEST_LINE + 1);
        let text = format!(
            "http://h/a\n{{\n  out=b\n\nhttp://h/c\n  out=..\n  checksum=d\n{long}\n  {long}\n#{long}\nhttp://h/e\n  out=f\n"
        );
        let all: Vec<_> = entries(&text).map(|entry| entry.map(|entry| entry.line)).collect();
        let lines: Vec<_> = all.iter().map(|one| one.as_ref().map_err(|error| error.line)).collect();
        assert_eq!(lines, [Ok(&1), Err(2), Err(6), Err(8), Err(10), Ok(&11)]);
        let bytes = b"http://h/\xff\r\nhttp://h/a\r\n";
        let [wrong, right] = &Entries::new(&bytes[..]).collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(wrong.as_ref().unwrap_err().to_string(), "line 1: it is no text in UTF-8");
        assert_eq!((right.as_ref().unwrap().line, right.as_ref().unwrap().position), (2, 12));
    }

    #[test]
    fn lines_of_the_longest_length_are_taken_whatever_ends_them() {
        let url = format!("http://h/{}", "x".repeat(LONGEST_LINE - 9));
        for end in ["", "\n", "\r\n"] {
            assert_eq!(urls(&format!("{url}{end}"))[..], [&url[..]], "{end:?}");
            assert_eq!(parse(&format!("{url}x{end}")).unwrap_err().why, "it is too long", "{end:?}");
        }
    }

    #[test]
    fn the_options_of_one_file_are_bounded() {
        let options = " header=x\n".repeat(200_000);
        let error = parse(&format!("http://h/a\n{options}")).unwrap_err();
        assert!(error.line > 100_000 && error.why.contains("too many options"), "{error}");
    }

    /// Gives its lines one by one, and counts those that were asked for.
    struct Typed<'a>(std::slice::Iter<'a, &'a str>, &'a [u8], &'a std::cell::Cell<usize>);

    impl io::Read for Typed<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.fill_buf()?.read(into)?;
            self.consume(read);
            Ok(read)
        }
    }

    impl BufRead for Typed<'_> {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            if self.1.is_empty()
                && let Some(line) = self.0.next()
            {
                self.1 = line.as_bytes();
                self.2.set(self.2.get() + 1);
            }
            Ok(self.1)
        }

        fn consume(&mut self, count: usize) {
            self.1 = &self.1[count..];
        }
    }

    #[test]
    fn a_line_that_is_complete_by_itself_waits_for_no_other() {
        let typed = std::cell::Cell::new(0);
        let lines = ["http://h/a\n", "  out=b\n", "{\"url\":\"http://h/c\"}\n"];
        let mut list = Entries::new(Typed(lines.iter(), b"", &typed));
        list.one_a_line = true;
        assert_eq!(list.next().unwrap().unwrap().url, "http://h/a");
        assert_eq!(typed.get(), 1);
        assert_eq!(list.next().unwrap().unwrap_err().line, 2);
        assert_eq!(list.next().unwrap().unwrap().url, "http://h/c");
        assert!(list.next().is_none());
    }

    #[test]
    fn a_text_that_cannot_be_read_on_is_an_error_of_its_line_and_the_end() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let text = io::Read::chain(&b"http://h/a\n"[..], Broken);
        let mut list = Entries::new(io::BufReader::new(text));
        assert!(list.next().unwrap().is_ok());
        assert_eq!(list.next().unwrap().unwrap_err().to_string(), "line 2: it cannot be read: gone");
        assert!(list.next().is_none());
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
