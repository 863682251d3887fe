//! `Link` fields (RFC 8288): other resources that a response names, and their relations to it.

use http::{HeaderMap, header};

/// A link whose context is the response itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Reference as it was sent, to be resolved against the URL of the response.
    pub(crate) target: Vec<u8>,
    /// Relation types in small letters.
    pub(crate) relations: Vec<String>,
    /// Other parameters in order, their names in small letters; empty values for those that have none.
    parameters: Vec<(String, String)>,
}

impl Link {
    /// Returns true if the link has this relation, which is written in small letters.
    pub(crate) fn is(&self, relation: &str) -> bool {
        self.relations.iter().any(|own| own == relation)
    }

    /// Value of the first parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Links of all fields of a response, in order. One with a context of its own (`anchor`) is left out: it says nothing about the response.
pub(crate) fn links(headers: &HeaderMap) -> Vec<Link> {
    headers.get_all(header::LINK).iter().flat_map(|value| parse(value.as_bytes())).collect()
}

/// Parses the value of one field (RFC 8288 §B.2). What follows after a malformed link is left out.
pub(crate) fn parse(value: &[u8]) -> Vec<Link> {
    let mut rest = Rest(value);
    let mut links = Vec::new();
    loop {
        rest.skip(|byte| is_blank(byte) || byte == b',');
        if !rest.eat(b'<') {
            return links;
        }
        let target = rest.until(|byte| byte == b'>').to_vec();
        if !rest.eat(b'>') {
            return links;
        }
        let parameters = rest.parameters();
        let named = |name: &str| parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        let relations = named("rel").map_or_else(Vec::new, |value| {
            value.split_ascii_whitespace().map(str::to_ascii_lowercase).collect()
        });
        if named("anchor").is_none() {
            links.push(Link { target, relations, parameters });
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Bytes that are not parsed yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        self.until(|byte| !is_skipped(byte));
    }

    fn eat(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes the bytes up to the first one that ends them, or all.
    fn until(&mut self, ends: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| ends(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// Parameters of a link, up to the comma that ends it (RFC 8288 §B.3).
    fn parameters(&mut self) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        loop {
            self.skip(is_blank);
            if !self.eat(b';') {
                return parameters;
            }
            self.skip(is_blank);
            let name = self.until(|byte| is_blank(byte) || matches!(byte, b'=' | b';' | b','));
            self.skip(is_blank);
            let value = match self.eat(b'=') {
                true => self.value(),
                false => Vec::new(),
            };
            if !name.is_empty() {
                parameters.push((text(name).to_ascii_lowercase(), text(&value)));
            }
            // Text behind a quoted value belongs to nothing.
            self.until(|byte| matches!(byte, b';' | b','));
        }
    }

    fn value(&mut self) -> Vec<u8> {
        self.skip(is_blank);
        match self.eat(b'"') {
            true => self.quoted(),
            false => self.until(|byte| matches!(byte, b';' | b',')).trim_ascii_end().to_vec(),
        }
    }

    /// A quoted string behind its first quotation mark (RFC 9110 §5.6.4); one that is not closed ends with the field.
    fn quoted(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        loop {
            value.extend_from_slice(self.until(|byte| matches!(byte, b'"' | b'\\')));
            if !self.eat(b'\\') {
                self.eat(b'"');
                return value;
            }
            if let Some((escaped, rest)) = self.0.split_first() {
                value.push(*escaped);
                self.0 = rest;
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Targets and relations of the links in a field.
    fn read(value: &str) -> Vec<(String, String)> {
        let shown = |link: &Link| (text(&link.target), link.relations.join(" "));
        parse(value.as_bytes()).iter().map(shown).collect()
    }

    fn one(value: &str) -> Link {
        let mut links = parse(value.as_bytes());
        assert_eq!(links.len(), 1, "{value}");
        links.remove(0)
    }

    #[test]
    fn each_link_has_its_target_and_its_relations() {
        for (value, expected) in [
            ("", &[][..]),
            ("<http://a/f>; rel=duplicate", &[("http://a/f", "duplicate")]),
            ("<http://a/f>; rel=\"Duplicate\"", &[("http://a/f", "duplicate")]),
            ("<a>;rel=duplicate,<b>;rel=next", &[("a", "duplicate"), ("b", "next")]),
            (" , <a> ; rel = \"x  y\tz\" , , <b>", &[("a", "x y z"), ("b", "")]),
            // A reference may hold commas and semicolons.
            ("<http://a/f,1;2>; rel=duplicate, <b>; rel=x", &[("http://a/f,1;2", "duplicate"), ("b", "x")]),
            // The first of several counts.
            ("<a>; rel=duplicate; rel=describedby", &[("a", "duplicate")]),
            ("<a>; title=\"<b>; rel=duplicate, <c>\"; rel=x", &[("a", "x")]),
            ("<a>; title=\"\\\"\\\\\\\", <b>\"; rel=x", &[("a", "x")]),
            // A context of its own.
            ("<a>; rel=duplicate; anchor=\"/other\", <b>; rel=x", &[("b", "x")]),
            ("<a>; anchor; rel=duplicate", &[]),
            // After what is malformed nothing is read.
            ("<a>; rel=x, b; rel=duplicate, <c>; rel=x", &[("a", "x")]),
            ("<a; rel=duplicate", &[]),
            ("<a> rel=duplicate", &[("a", "")]),
            ("<a>; rel=\"duplicate", &[("a", "duplicate")]),
            ("<a>; rel=\"duplicate\"junk; x=1, <b>; rel=y", &[("a", "duplicate"), ("b", "y")]),
            ("<a>; ;; =; rel=x;", &[("a", "x")]),
            ("<>; rel=x", &[("", "x")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(target, rel)| ((*target).to_owned(), (*rel).to_owned())).collect();
            assert_eq!(read(value), expected, "{value}");
        }
    }

    // RFC 6249 §3
    #[test]
    fn parameters_of_a_mirror_are_read_with_and_without_values() {
        let link =
            one("<http://a/f>; rel=duplicate; pri=1; pref; GEO=\"gb\"; depth=3; title*=UTF-8''x; pri=2");
        assert!(link.is("duplicate") && !link.is("describedby"));
        assert_eq!(link.parameter("pri"), Some("1"));
        assert_eq!((link.parameter("pref"), link.parameter("geo")), (Some(""), Some("gb")));
        assert_eq!((link.parameter("depth"), link.parameter("type")), (Some("3"), None));
        let document = one("</f.meta4>; rel=describedby; type=\"application/metalink4+xml\"");
        assert_eq!(document.parameter("type"), Some("application/metalink4+xml"));
    }

    #[test]
    fn several_fields_are_read_in_order_and_a_broken_one_hides_no_other() {
        let mut headers = HeaderMap::new();
        for value in [&b"<a>; rel=x, <b>; rel=y"[..], b"nonsense", b"<caf\xe9>; rel=z"] {
            headers.append(header::LINK, http::HeaderValue::from_bytes(value).unwrap());
        }
        let targets: Vec<_> = links(&headers).into_iter().map(|link| link.target).collect();
        assert_eq!(targets, [&b"a"[..], b"b", b"caf\xe9"]);
    }

    fn quoted(text: &str) -> String {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }

    proptest! {
        #[test]
        fn what_is_written_as_the_grammar_says_is_read_back(
            links in proptest::collection::vec(
                ("[a-z:/,;=\" ]{0,20}", proptest::collection::vec(("[a-z]{1,6}", "[ -~]{0,12}"), 0..4)),
                0..5,
            ),
            blanks in "[ \t]{0,2}",
        ) {
            let one = |(target, parameters): &(String, Vec<(String, String)>)| {
                let parameters = parameters.iter().map(|(name, value)| {
                    format!("{blanks};{blanks}x{name}{blanks}={blanks}{}", quoted(value))
                });
                format!("{blanks}<{target}>{}{blanks}", parameters.collect::<String>())
            };
            let value = links.iter().map(one).collect::<Vec<_>>().join(",");
            let expected: Vec<_> = links
                .into_iter()
                .map(|(target, parameters)| Link {
                    target: target.into_bytes(),
                    relations: Vec::new(),
                    parameters: parameters.into_iter().map(|(name, value)| (format!("x{name}"), value)).collect(),
                })
                .collect();
            prop_assert_eq!(parse(value.as_bytes()), expected);
        }

        #[test]
        fn any_field_is_read_to_targets_that_it_holds(value in any::<Vec<u8>>()) {
            for link in parse(&value) {
                let bracketed = [b"<", &link.target[..], b">"].concat();
                prop_assert!(value.windows(bracketed.len()).any(|bytes| bytes == bracketed));
            }
        }

        #[test]
        fn something_like_a_field_is_read_too(value in "([<>;,=\"\\\\ ]|rel|duplicate|anchor|a){0,40}") {
            prop_assert!(parse(value.as_bytes()).iter().all(|link| !link.target.contains(&b'>')));
        }
    }
}
