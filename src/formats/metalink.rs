//! Metalink documents: files with their sources and digests (RFC 5854, and version 3 before it).
//!
//! A document may be untrusted, so its names are [`ForeignName`]s, and it cannot decide how to fetch. It is parsed in
//! one pass, in time and memory bounded by its length; a DTD is refused.

use super::file_name::ForeignName;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;

/// Sources of a file that are used: more of them would not make it faster.
const MOST_SOURCES: usize = 17;

/// One file of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Line number, counted from 1.
    pub(crate) line: usize,
    /// File name, or a path below a directory.
    pub(crate) name: ForeignName,
    /// Size in bytes.
    pub(crate) size: Option<u64>,
    /// Sources by http and https, the best first.
    pub(crate) urls: Vec<String>,
    /// Digests, as `function:hex`.
    pub(crate) digests: Vec<String>,
    /// Digests of pieces, by one hash function each.
    pub(crate) pieces: Vec<StatedPieces>,
}

/// Digests of the pieces of a file as a document states them, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatedPieces {
    /// Line number, counted from 1.
    pub(crate) line: usize,
    /// Length of a piece in bytes; 0 if none is stated, as in documents of version 3, whose pieces are not used then.
    pub(crate) length: u64,
    /// Name of the hash function.
    pub(crate) function: String,
    /// Hexadecimal digits, in the order of the pieces.
    pub(crate) digests: Vec<String>,
}

impl StatedPieces {
    /// # Errors
    /// A message with the line, if these are not the pieces of a file of `size` bytes.
    fn check(&self, size: u64) -> Result<(), String> {
        let stated = self.digests.len() as u64;
        let Some(wanted) = size.checked_div(self.length).map(|_| size.div_ceil(self.length)) else {
            return Ok(());
        };
        match stated == wanted {
            true => Ok(()),
            false => Err(format!(
                "line {}: {stated} digests of pieces, and a file of {size} bytes has {wanted} pieces of {} bytes",
                self.line, self.length
            )),
        }
    }
}

/// Parses a document into its files.
///
/// # Errors
/// A message, if it is no Metalink document, or if a file has no name.
pub(crate) fn parse(text: &str) -> Result<Vec<Described>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut reading = Reading::default();
    let mut read_to = 0;
    loop {
        let event = reader.read_event();
        let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(text.len());
        reading.line += text.as_bytes()[read_to..position].iter().filter(|byte| **byte == b'\n').count();
        read_to = position;
        let line = reading.line + 1;
        let taken = match event {
            Ok(Event::Eof) => break,
            Ok(event) => reading.take(event),
            Err(error) => Err(format!("not usable XML: {error}")),
        };
        taken.map_err(|why| format!("line {line}: {why}"))?;
    }
    if !reading.open.is_empty() {
        return Err(format!("line {}: not usable XML: it ends in the middle", reading.line + 1));
    }
    if !reading.is_metalink {
        return Err(NO_METALINK.to_owned());
    }
    reading.files.into_iter().map(Draft::finish).collect()
}

const NO_METALINK: &str = "not a Metalink document";

/// Meaning of an element at its place in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Metalink,
    /// Extra level of version 3.
    Files,
    File,
    /// Group of sources or digests in version 3.
    Group,
    Url,
    Hash,
    Size,
    /// Digests of pieces.
    Pieces,
    PieceHash,
    Other,
}

impl Element {
    /// Classifies an element by its parent: other documents about the file have other parents, and are skipped.
    fn of(parent: Option<Self>, name: &str) -> Self {
        match (parent, name) {
            (None, "metalink") => Self::Metalink,
            (Some(Self::Metalink), "files") => Self::Files,
            (Some(Self::Metalink | Self::Files), "file") => Self::File,
            (Some(Self::File), "resources" | "verification") => Self::Group,
            (Some(Self::File | Self::Group), "url") => Self::Url,
            (Some(Self::File | Self::Group), "hash") => Self::Hash,
            (Some(Self::File), "size") => Self::Size,
            (Some(Self::File | Self::Group), "pieces") => Self::Pieces,
            (Some(Self::Pieces), "hash") => Self::PieceHash,
            _ => Self::Other,
        }
    }
}

/// State of the parser.
#[derive(Default)]
struct Reading {
    /// Line number, counted from 0.
    line: usize,
    is_metalink: bool,
    open: Vec<Element>,
    files: Vec<Draft>,
    /// Text of the open source, digest or size, which takes it at its end tag.
    text: String,
}

impl Reading {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => self.begin(&tag)?,
            Event::Empty(tag) => {
                self.begin(&tag)?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.write(&text.xml10_content()),
            Event::CData(text) => self.write(&text.xml10_content()),
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(c)) => self.write(c.encode_utf8(&mut [0; 4])),
                _ => match resolve_predefined_entity(&name.xml10_content()) {
                    Some(text) => self.write(text),
                    None => return Err("not usable XML: an entity that is not known".to_owned()),
                },
            },
            Event::DocType(_) => return Err("not usable XML: it declares a type of its own".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let element = Element::of(self.open.last().copied(), tag.local_name().as_ref());
        if self.open.is_empty() && element != Element::Metalink {
            return Err(NO_METALINK.to_owned());
        }
        self.is_metalink = true;
        self.open.push(element);
        match (element, self.files.last_mut()) {
            (Element::File, _) => {
                let name = attribute(tag, "name").map(|name| name.trim().to_owned());
                let name = name.filter(|name| !name.is_empty()).ok_or("a file without a name")?;
                let output = ForeignName::below(&name).map_err(|why| format!("{name:?}: {why}"))?;
                self.files.push(Draft::of(output, self.line + 1));
            }
            (Element::Url, Some(file)) => {
                let other = attribute(tag, "type").is_some_and(|kind| !kind.starts_with("http"));
                file.urls.push(Source { rank: rank(tag), url: String::new(), other });
            }
            (Element::Hash, Some(file)) => {
                file.hashes.push((attribute(tag, "type").unwrap_or_default(), String::new()));
            }
            (Element::Pieces, Some(file)) => {
                let length = piece_length(attribute(tag, "length").as_deref())?;
                let function = attribute(tag, "type").unwrap_or_default().trim().to_owned();
                file.pieces.push(StatedPieces { line: self.line + 1, length, function, digests: Vec::new() });
            }
            (Element::PieceHash, Some(file)) => {
                if let Some(pieces) = file.pieces.last_mut() {
                    pieces.digests.push(String::new());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        let element = self.open.pop();
        let place = self.files.last_mut().and_then(|file| match element {
            Some(Element::Url) => file.urls.last_mut().map(|source| &mut source.url),
            Some(Element::Hash) => file.hashes.last_mut().map(|(_, digest)| digest),
            Some(Element::Size) => Some(&mut file.size),
            Some(Element::PieceHash) => file.pieces.last_mut().and_then(|pieces| pieces.digests.last_mut()),
            _ => None,
        });
        if let Some(place) = place {
            self.text.trim().clone_into(place);
            self.text.clear();
        }
    }

    fn write(&mut self, text: &str) {
        if matches!(self.open.last(), Some(Element::Url | Element::Hash | Element::PieceHash | Element::Size))
        {
            self.text.push_str(text);
        }
    }
}

/// Length of the pieces of an element (RFC 5854 §4.1.3.1).
fn piece_length(stated: Option<&str>) -> Result<u64, String> {
    let Some(text) = stated else {
        return Ok(0);
    };
    let length = text.trim().parse().ok().filter(|length| *length > 0);
    length.ok_or_else(|| format!("length {text:?} of the pieces is no number of bytes above 0"))
}

/// Returns the text of an attribute, with references resolved.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    // The first of duplicates counts; a check for duplicates takes time quadratic in their number.
    let found = attributes
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.local_name().as_ref() == name)?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(Cow::into_owned)
}

/// Order of sources: ascending priority (RFC 5854 §4.2.16), or in version 3 descending preference; last without either.
type Rank = (u32, Reverse<u32>);

fn rank(tag: &BytesStart<'_>) -> Rank {
    let number = |name| attribute(tag, name).and_then(|text| text.trim().parse().ok());
    (number("priority").unwrap_or(u32::MAX), Reverse(number("preference").unwrap_or(0)))
}

/// A file under construction.
struct Draft {
    line: usize,
    output: ForeignName,
    urls: Vec<Source>,
    /// Hash functions and digests.
    hashes: Vec<(String, String)>,
    pieces: Vec<StatedPieces>,
    size: String,
}

struct Source {
    rank: Rank,
    url: String,
    /// True if its stated type is a protocol that haul does not speak.
    other: bool,
}

impl Draft {
    fn of(output: ForeignName, line: usize) -> Self {
        Self { line, output, urls: Vec::new(), hashes: Vec::new(), pieces: Vec::new(), size: String::new() }
    }

    fn finish(mut self) -> Result<Described, String> {
        self.urls.retain(|source| !source.other && is_spoken(&source.url));
        self.urls.sort_by_key(|source| source.rank);
        let mut seen = HashSet::new();
        let urls = self.urls.into_iter().map(|source| source.url).filter(|url| seen.insert(url.clone()));
        let size = match self.size.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| format!("line {}: {text:?} is no size", self.line))?),
        };
        if let Some(size) = size {
            self.pieces.iter().try_for_each(|pieces| pieces.check(size))?;
        }
        let digest = |(function, hex): (String, String)| format!("{}:{hex}", function.trim());
        Ok(Described {
            line: self.line,
            name: self.output,
            size,
            urls: urls.take(MOST_SOURCES).collect(),
            digests: self.hashes.into_iter().map(digest).collect(),
            pieces: self.pieces,
        })
    }
}

fn is_spoken(url: &str) -> bool {
    let begins =
        |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    begins("http:") || begins("https:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="a.iso">
    <size>14471447</size>
    <hash type="sha-256">  f0ad929cd259957e160ea442eb80986b5f  </hash>
    <hash type="md5">00</hash>
    <pieces length="16777216" type="sha-256"><hash>ff</hash></pieces>
    <url location="de" priority="2">https://two.example/a.iso</url>
    <url priority="1">http://one.example/a.iso?x=1&amp;y=&#50;</url>
    <url>ftp://three.example/a.iso</url>
    <url>HTTPS://four.example/a.iso</url>
    <url>https://two.example/a.iso</url>
    <metaurl mediatype="torrent">http://five.example/a.torrent</metaurl>
  </file>
  <file name="sub/b.iso"><url><![CDATA[https://one.example/b]]></url></file>
</metalink>"#;

    #[test]
    fn a_file_has_its_sources_in_order_and_its_digests() {
        let files = parse(FOUR).unwrap();
        let [a, b] = &files[..] else { panic!("{files:?}") };
        let urls =
            ["http://one.example/a.iso?x=1&y=2", "https://two.example/a.iso", "HTTPS://four.example/a.iso"];
        assert_eq!((a.line, &a.urls[..]), (3, &urls.map(str::to_owned)[..]));
        assert_eq!(a.digests, ["sha-256:f0ad929cd259957e160ea442eb80986b5f", "md5:00"]);
        assert_eq!((a.size, b.size), (Some(14_471_447), None));
        let [pieces] = &a.pieces[..] else { panic!("{a:?}") };
        assert_eq!((pieces.length, pieces.function.as_str()), (16 << 20, "sha-256"));
        assert_eq!((&pieces.digests[..], b.pieces.len()), (&["ff".to_owned()][..], 0));
        assert_eq!((a.name.to_string(), b.name.to_string()), ("a.iso".to_owned(), "sub/b.iso".to_owned()));
        assert_eq!((b.line, &b.urls[..]), (15, &["https://one.example/b".to_owned()][..]));
        assert!(b.digests.is_empty());
    }

    #[test]
    fn the_version_before_is_understood() {
        let text = r#"<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="x">
            <verification><hash type="sha1">aa</hash><pieces><hash piece="0">bb</hash></pieces></verification>
            <resources><url type="http" preference="10">http://slow/x</url><url type="http" preference="90">http://fast/x</url>
            <url type="bittorrent">http://t/x.torrent</url></resources>
            </file></files></metalink>"#;
        let files = parse(text).unwrap();
        assert_eq!(files[0].urls, ["http://fast/x", "http://slow/x"]);
        assert_eq!(files[0].digests, ["sha1:aa"]);
    }

    // RFC 5854 §4.1.3
    #[test]
    fn pieces_that_are_not_those_of_the_file_are_refused_with_their_line() {
        let hashes = |count: usize| "<hash>00</hash>".repeat(count);
        for (size, length, count, told) in [
            ("25", "length=\"10\"", 3, None),
            ("30", "length=\"10\"", 3, None),
            ("0", "length=\"10\"", 0, None),
            ("25", "", 1, None),
            (
                "25",
                "length=\"10\"",
                2,
                Some("2 digests of pieces, and a file of 25 bytes has 3 pieces of 10 bytes"),
            ),
            ("30", "length=\"10\"", 4, Some("4 digests of pieces")),
            ("25", "length=\"0\"", 3, Some("length \"0\" of the pieces is no number of bytes above 0")),
            ("25", "length=\"36893488147419103232\"", 1, Some("is no number of bytes above 0")),
            ("25", "length=\"ten\"", 3, Some("is no number of bytes above 0")),
        ] {
            let text = format!(
                "<metalink>\n<file name=\"x\">\n<size>{size}</size>\n<pieces {length} type=\"sha-256\">{}</pieces>\n<url>http:x</url></file></metalink>",
                hashes(count)
            );
            match (parse(&text), told) {
                (Ok(_), None) => {}
                (Err(error), Some(told)) => {
                    assert!(error.starts_with("line 4: ") && error.contains(told), "{error}");
                }
                (parsed, _) => panic!("{size} {length} {count}: {parsed:?}"),
            }
        }
    }

    // RFC 5854 §4.1.2.1
    #[test]
    fn no_name_leads_out_of_the_directory() {
        for name in ["../x", "/etc/x", "a/../../x", "..", "", "&#46;&#46;/x"] {
            let text = format!(r#"<metalink><file name="{name}"><url>http://h/x</url></file></metalink>"#);
            assert!(parse(&text).is_err(), "{name:?}");
        }
    }

    #[test]
    fn each_message_has_one_number_of_a_line() {
        for wrong in [
            "<file name=\"..\"/>",
            "<file/>",
            "<file name=\"x\"><size>y</size><url>http:x</url></file>",
            "<file name=\"x\"><url>&unknown;</url></file>",
            "</file>",
            "<file",
            "<file name=\"x\">",
        ] {
            let error = parse(&format!("<metalink>\n{wrong}\n")).unwrap_err();
            let words: Vec<_> = error.split(' ').collect();
            let numbered = |pair: &&[&str]| pair[0] == "line" && pair[1].starts_with(char::is_numeric);
            assert_eq!(words.windows(2).filter(numbered).count(), 1, "{error}");
        }
    }

    #[test]
    fn what_is_no_metalink_is_refused_and_nothing_is_expanded() {
        let torn = &FOUR[..FOUR.len() / 2];
        for text in [
            "",
            "http://h/x",
            "<html></html>",
            "<metalink><file><url>http://h/x</url></file></metalink>",
            torn,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let bomb =
            r#"<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><metalink><file name="&b;"/></metalink>"#;
        assert!(parse(bomb).unwrap_err().contains("XML"));
        let file = r#"<metalink><file name="x"><url>&passwd;</url></file></metalink>"#;
        assert!(parse(file).unwrap_err().contains("XML"));
        let other = r#"<metalink><file name="x"><url>ftp://h/x</url></file></metalink>"#;
        assert!(parse(other).unwrap()[0].urls.is_empty());
    }

    #[test]
    fn of_many_sources_a_few_are_taken() {
        let urls: String = (0..1000).map(|number| format!("<url>http://h{number}/x</url>")).collect();
        let files = parse(&format!("<metalink><file name=\"x\">{urls}</file></metalink>")).unwrap();
        assert_eq!(files[0].urls.len(), MOST_SOURCES);
    }

    /// Each would take hours in time quadratic in its length.
    #[test]
    fn a_document_takes_no_longer_than_it_is_long() {
        let many = 200_000;
        let attributes: String = (0..many).map(|number| format!(" a{number}=\"\"")).collect();
        let spaces: String = (0..many).map(|number| format!("<a xmlns:n{number}=\"u\">")).collect();
        let files: String = (0..many).map(|_| "<file name=\"x\"><url>http:x</url></file>\n").collect();
        assert_eq!(parse(&format!("<metalink>{files}</metalink>")).unwrap().len(), many);
        assert!(parse(&format!("<metalink{attributes}></metalink>")).unwrap().is_empty());
        assert!(
            parse(&format!("<metalink><file name=\"x\"{attributes}><url>http:x</url></file></metalink>"))
                .is_ok()
        );
        assert!(parse(&format!("<metalink>{spaces}{}</metalink>", "</a>".repeat(many))).unwrap().is_empty());
    }
}
