//! Metalink documents: which files there are, where from, and with which digests (RFC 5854, and version 3 before it).
//!
//! A document may come from anybody, so no name in it leads out of the directory, and it says nothing of how to fetch.

use super::input_list::{Entry, below};
use roxmltree::{Document, Node, ParsingOptions};
use std::cmp::Reverse;

/// More elements and texts no document has that describes files.
const MOST_NODES: u32 = 1 << 20;

/// The files of a document, the best source of each one first.
///
/// # Errors
/// In words, for what is no Metalink document, or has a file without a name or a source that can be used.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text, options).map_err(|error| format!("not usable XML: {error}"))?;
    let root = document.root_element();
    if !is(root, "metalink") {
        return Err("not a Metalink document".to_owned());
    }
    // Version 3 has one more level.
    let parents = std::iter::once(root).chain(root.children().filter(|node| is(*node, "files")));
    let files = parents.flat_map(|parent| parent.children().filter(|node| is(*node, "file")));
    files.map(|node| file(node).map_err(|why| format!("line {}: {why}", line(node)))).collect()
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name
}

fn line(node: Node<'_, '_>) -> usize {
    node.document().text_pos_at(node.range().start).row as usize
}

fn file(node: Node<'_, '_>) -> Result<Entry, String> {
    let name = node.attribute("name").map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or("a file without a name")?;
    let mut urls = sources(node).into_iter();
    let url = urls.next().ok_or_else(|| format!("{name:?} has no http or https source"))?;
    let output = below(name.to_owned()).map_err(|why| format!("{name:?}: {why}"))?;
    Ok(Entry {
        line: line(node),
        url,
        mirrors: urls.collect(),
        output: Some(output),
        checksums: checksums(node),
        ..Entry::default()
    })
}

/// Those of `node`, whether they stand in it or in a group of it, but not in a part of the file.
fn within<'a, 'i>(node: Node<'a, 'i>, group: &'a str, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> {
    let groups = node.children().filter(move |child| is(*child, group));
    std::iter::once(node)
        .chain(groups)
        .flat_map(|parent| parent.children())
        .filter(move |child| is(*child, name))
}

/// The sources that haul can use, the preferred ones first: by ascending priority (RFC 5854 §4.2.16.3), or in version 3 by
/// descending preference. Where none is stated, they come last.
fn sources(node: Node<'_, '_>) -> Vec<String> {
    let rank = |url: &Node<'_, '_>, attribute| {
        url.attribute(attribute).and_then(|text| text.trim().parse::<u32>().ok())
    };
    let plain = |url: &Node<'_, '_>| url.attribute("type").is_none_or(|kind| kind.starts_with("http"));
    let mut urls: Vec<_> = within(node, "resources", "url")
        .filter(plain)
        .map(|url| {
            let rank =
                (rank(&url, "priority").unwrap_or(u32::MAX), Reverse(rank(&url, "preference").unwrap_or(0)));
            (rank, url.text().unwrap_or_default().trim().to_owned())
        })
        .filter(|(_, url)| spoken(url))
        .collect();
    urls.sort_by_key(|(rank, _)| *rank);
    let mut urls: Vec<_> = urls.into_iter().map(|(_, url)| url).collect();
    urls.dedup();
    urls
}

fn spoken(url: &str) -> bool {
    ["http:", "https:"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// As `--checksum` takes them; of functions that haul does not compute there may be some, which say nothing here.
fn checksums(node: Node<'_, '_>) -> Vec<String> {
    within(node, "verification", "hash")
        .filter_map(|hash| Some(format!("{}:{}", hash.attribute("type")?.trim(), hash.text()?.trim())))
        .collect()
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
    <pieces length="1048576" type="sha-256"><hash>ff</hash></pieces>
    <url location="de" priority="2">https://two.example/a.iso</url>
    <url priority="1">http://one.example/a.iso?x=1&amp;y=2</url>
    <url>ftp://three.example/a.iso</url>
    <url>HTTPS://four.example/a.iso</url>
    <metaurl mediatype="torrent">http://five.example/a.torrent</metaurl>
  </file>
  <file name="sub/b.iso"><url>https://one.example/b</url></file>
</metalink>"#;

    #[test]
    fn a_file_has_its_sources_in_order_and_its_digests() {
        let files = parse(FOUR).unwrap();
        let [a, b] = &files[..] else { panic!("{files:?}") };
        assert_eq!((a.line, a.url.as_str()), (3, "http://one.example/a.iso?x=1&y=2"));
        assert_eq!(a.mirrors, ["https://two.example/a.iso", "HTTPS://four.example/a.iso"]);
        assert_eq!(a.checksums, ["sha-256:f0ad929cd259957e160ea442eb80986b5f", "md5:00"]);
        assert_eq!((a.output.as_deref(), b.output.as_deref()), (Some("a.iso"), Some("sub/b.iso")));
        assert!(b.mirrors.is_empty() && b.checksums.is_empty());
    }

    #[test]
    fn the_version_before_is_understood() {
        let text = r#"<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="x">
            <verification><hash type="sha1">aa</hash><pieces><hash piece="0">bb</hash></pieces></verification>
            <resources><url type="http" preference="10">http://slow/x</url><url type="http" preference="90">http://fast/x</url>
            <url type="bittorrent">http://t/x.torrent</url></resources>
            </file></files></metalink>"#;
        let files = parse(text).unwrap();
        assert_eq!(files[0].url, "http://fast/x");
        assert_eq!(files[0].mirrors, ["http://slow/x"]);
        assert_eq!(files[0].checksums, ["sha1:aa"]);
    }

    // RFC 5854 §4.1.2.1
    #[test]
    fn no_name_leads_out_of_the_directory() {
        for name in ["../x", "/etc/x", "a/../../x", "..", ""] {
            let text = format!(r#"<metalink><file name="{name}"><url>http://h/x</url></file></metalink>"#);
            assert!(parse(&text).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_metalink_is_refused_and_nothing_is_expanded() {
        for text in
            ["", "http://h/x", "<html></html>", "<metalink><file><url>http://h/x</url></file></metalink>"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        let bomb =
            r#"<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><metalink><file name="&b;"/></metalink>"#;
        assert!(parse(bomb).unwrap_err().contains("XML"));
        let file = r#"<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]><metalink><file name="&a;"/></metalink>"#;
        assert!(parse(file).unwrap_err().contains("XML"));
        assert!(
            parse(r#"<metalink><file name="x"><url>ftp://h/x</url></file></metalink>"#)
                .unwrap_err()
                .contains("source")
        );
    }
}
