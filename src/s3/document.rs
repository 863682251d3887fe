//! A document of a service of AWS: the texts of its innermost elements, in order.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// Elements in each other and texts that are read at most; no answer has as many.
const DEEPEST: usize = 16;
const MOST: usize = 20_000;
/// Longest name of an element, in bytes.
const LONGEST_NAME: usize = 128;

/// Texts of a document, each with the path of its element, such as `ListPartsResult/Part/ETag`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    root: String,
    texts: Vec<(String, String)>,
}

impl Document {
    /// `None` if it is no XML, or breaks off.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut found = Self::default();
        let (mut path, mut inner, mut is_leaf) = (Vec::<String>::new(), String::new(), false);
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) => {
                    if tag.local_name().as_ref().len() > LONGEST_NAME {
                        return None;
                    }
                    path.push(tag.local_name().as_ref().to_owned());
                    if found.root.is_empty() {
                        found.root.clone_from(&path[0]);
                    }
                    if path.len() > DEEPEST || found.texts.len() > MOST {
                        return None;
                    }
                    inner.clear();
                    is_leaf = true;
                }
                Event::Empty(tag) if found.root.is_empty() => {
                    tag.local_name().as_ref().clone_into(&mut found.root);
                }
                Event::End(_) => {
                    if is_leaf {
                        found.texts.push((path.join("/"), inner.trim().to_owned()));
                    }
                    is_leaf = false;
                    path.pop()?;
                }
                Event::Text(text) => inner.push_str(&text.xml10_content()),
                Event::CData(text) => inner.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => match name.resolve_char_ref() {
                    Ok(Some(c)) => inner.push(c),
                    _ => inner.push_str(resolve_predefined_entity(&name.xml10_content())?),
                },
                Event::DocType(_) => return None,
                Event::Eof => break,
                _ => {}
            }
        }
        (path.is_empty() && !found.root.is_empty()).then_some(found)
    }

    /// Name of the outermost element.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The first text of this path below the outermost element, unless it is empty.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let below = |whole: &str| whole.split_once('/').is_some_and(|(_, rest)| rest == path);
        let found = self.texts.iter().find(|(whole, _)| below(whole));
        found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// Groups of texts below the elements `name`.
    pub(crate) fn groups(&self, name: &str) -> Vec<Vec<(&str, &str)>> {
        let mut groups: Vec<Vec<(&str, &str)>> = Vec::new();
        for (path, text) in &self.texts {
            let mut parts = path.split('/').skip(1);
            if parts.next() != Some(name) {
                continue;
            }
            let Some(field) = parts.next() else { continue };
            // A field that comes again belongs to the next group.
            let again = |group: &[(&str, &str)]| group.iter().any(|(other, _)| *other == field);
            match groups.last_mut() {
                Some(group) if !again(group) => group.push((field, text)),
                _ => groups.push(vec![(field, text)]),
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &str = r#"<?xml version="1.0"?><ListPartsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <UploadId>u&amp;1</UploadId><IsTruncated>false</IsTruncated><Empty/>
        <Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag><Size>5</Size></Part>
        <Part><ETag>"b"</ETag><PartNumber>2</PartNumber></Part></ListPartsResult>"#;

    #[test]
    fn texts_are_found_by_their_path_and_in_their_groups() {
        let document = Document::parse(PARTS.as_bytes()).unwrap();
        assert_eq!((document.root(), document.text("UploadId")), ("ListPartsResult", Some("u&1")));
        assert_eq!(document.text("Part/PartNumber"), Some("1"));
        assert_eq!(document.text("Empty"), None);
        let groups = document.groups("Part");
        assert_eq!(groups[0], [("PartNumber", "1"), ("ETag", "\"a\""), ("Size", "5")]);
        assert_eq!(groups[1], [("ETag", "\"b\""), ("PartNumber", "2")]);
    }

    #[test]
    fn what_is_no_whole_document_is_none() {
        let deep = "<a>".repeat(50) + &"</a>".repeat(50);
        let long = format!("<{0}></{0}>", "a".repeat(LONGEST_NAME + 1));
        for bad in ["", "{}", "<a><b></a>", "<a>", "<!DOCTYPE a><a/>", "<a>&x;</a>", "<html>", &deep, &long] {
            assert_eq!(Document::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
