//! Lists of digests as publishers write them: as coreutils does (`HEX  name`), and as BSD does (`SHA256 (name) = HEX`).

use std::collections::HashMap;

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    /// As the line names it. The lines of coreutils do not.
    pub(crate) algorithm: Option<String>,
    /// In hexadecimal.
    pub(crate) digest: String,
    /// Of which file; `None` where the line holds nothing but a digest.
    pub(crate) name: Option<String>,
}

/// Shorter ones no publisher would use, and they might be words.
const SHORTEST: usize = 32;

/// What a list states, in order.
#[derive(Clone, Debug)]
pub(crate) struct List {
    stated: Vec<Stated>,
    /// Where the lines for a name stand, whatever directory the file is in: there may be many, and many who ask.
    by_name: HashMap<String, Vec<usize>>,
}

impl List {
    /// Lines that state nothing are passed over: remarks, signatures.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let stated: Vec<_> = text.lines().filter_map(|line| bsd(line).or_else(|| coreutils(line))).collect();
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for (number, line) in stated.iter().enumerate() {
            if let Some(name) = line.segments().next() {
                by_name.entry(name.to_owned()).or_default().push(number);
            }
        }
        Self { stated, by_name }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stated.is_empty()
    }

    /// The one thing that it states, if that is a digest without a name.
    pub(crate) fn only(&self) -> Option<&Stated> {
        match &self.stated[..] {
            [only @ Stated { name: None, .. }] => Some(only),
            _ => None,
        }
    }

    /// What is stated of the file at the end of a path, which is given in its segments: the lines with its name, and of those
    /// the ones whose directories agree the most with the path's. A list that is nothing but one digest is for whatever file
    /// it was named for.
    ///
    /// # Errors
    /// How many different files of this name the list has, where nothing tells which of them is meant.
    pub(crate) fn of_path(&self, path: &[impl AsRef<str>]) -> Result<Vec<&Stated>, usize> {
        if let Some(only) = self.only() {
            return Ok(vec![only]);
        }
        let wanted = || path.iter().rev().map(AsRef::as_ref);
        let numbers = wanted().next().and_then(|name| self.by_name.get(name));
        let lines: Vec<_> = numbers.into_iter().flatten().map(|number| &self.stated[*number]).collect();
        // A line whose whole name lies on the path is nearer than any that also names another directory.
        let nearness = |line: &Stated| {
            let alike = line.segments().zip(wanted()).take_while(|(one, other)| one == other).count();
            (alike == line.segments().count(), alike)
        };
        let nearest = lines.iter().map(|line| nearness(line)).max();
        let best: Vec<_> = lines.into_iter().filter(|line| Some(nearness(line)) == nearest).collect();
        let mut files: Vec<Vec<_>> = best.iter().map(|line| line.segments().collect()).collect();
        files.sort_unstable();
        files.dedup();
        if files.len() > 1 { Err(files.len()) } else { Ok(best) }
    }
}

impl Stated {
    /// The parts of its name, the last one first.
    fn segments(&self) -> impl Iterator<Item = &str> {
        let parts = self.name.as_deref().unwrap_or_default().split(['/', '\\']).rev();
        parts.filter(|part| !part.is_empty() && *part != ".")
    }
}

/// `SHA256 (name) = HEX`, and what OpenSSL makes of it: `SHA2-256(name)= HEX`.
fn bsd(line: &str) -> Option<Stated> {
    let (line, escaped) = unmarked(line);
    let (algorithm, rest) = line.split_once('(')?;
    let (name, digest) = rest.rsplit_once(')')?;
    let digest = digest.trim_start().strip_prefix('=')?.trim();
    let algorithm = algorithm.trim();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let usable = !algorithm.is_empty() && algorithm.chars().all(is_word) && is_digest(digest);
    usable.then(|| Stated {
        algorithm: Some(algorithm.to_owned()),
        digest: digest.to_owned(),
        name: Some(unescaped(name, escaped)),
    })
}

/// `HEX  name`, with a star for "binary" in the place of the second blank, or the digest alone.
fn coreutils(line: &str) -> Option<Stated> {
    let (line, escaped) = unmarked(line);
    let (digest, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let name = rest.strip_prefix('*').unwrap_or(rest);
    is_digest(digest).then(|| Stated {
        algorithm: None,
        digest: digest.to_owned(),
        name: (!name.is_empty()).then(|| unescaped(name, escaped)),
    })
}

/// The line without what surrounds it, and whether its name is written with backslashes: coreutils then begins the line
/// with one.
fn unmarked(line: &str) -> (&str, bool) {
    let line = line.trim();
    line.strip_prefix('\\').map_or((line, false), |line| (line, true))
}

fn unescaped(name: &str, escaped: bool) -> String {
    if !escaped {
        return name.to_owned();
    }
    let mut plain = String::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => plain.push(c),
            _ => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                other => plain.extend(other),
            },
        }
    }
    plain
}

fn is_digest(text: &str) -> bool {
    text.len() >= SHORTEST
        && text.len().is_multiple_of(2)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const B: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn digests(text: &str, path: &str) -> Result<Vec<String>, usize> {
        let path: Vec<_> = path.split('/').collect();
        List::parse(text)
            .of_path(&path)
            .map(|found| found.into_iter().map(|stated| stated.digest.clone()).collect())
    }

    #[test]
    fn a_file_has_the_digest_beside_its_name() {
        let lists = [
            format!("{A}  x.iso\n{B}  y.iso\n"),
            format!("{A} *x.iso\r\n{B} *./y.iso\r\n"),
            format!("# two\nMD5 (x.iso) = {A}\nMD5 (y.iso) = {B}\n"),
            format!("MD5(x.iso)= {A}\nMD5(y.iso)= {B}"),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{A}  x.iso\n{B}\ty.iso\n-----BEGIN PGP SIGNATURE-----\n"
            ),
        ];
        for list in lists {
            assert_eq!(digests(&list, "/pub/x.iso"), Ok(vec![A.to_owned()]), "{list}");
            assert_eq!(digests(&list, "/pub/y.iso"), Ok(vec![B.to_owned()]), "{list}");
            assert_eq!(digests(&list, "/pub/z.iso"), Ok(vec![]), "{list}");
            assert_eq!(digests(&list, "/pub/"), Ok(vec![]), "{list}");
        }
    }

    #[test]
    fn a_name_in_another_directory_counts_if_no_other_is_nearer() {
        let list = format!("{A}  amd64/x.iso\n{B}  arm64/x.iso\n");
        assert_eq!(digests(&list, "/pub/amd64/x.iso"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&list, "/pub/arm64/x.iso"), Ok(vec![B.to_owned()]));
        assert_eq!(digests(&list, "/pub/x.iso"), Err(2));
        assert_eq!(digests(&format!("{list}{A}  ./x.iso"), "/pub/x.iso"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&format!("{A}  deep/down/x.iso"), "/x.iso"), Ok(vec![A.to_owned()]));
    }

    #[test]
    fn several_algorithms_for_one_file_all_count() {
        let list = format!("MD5 (x) = {A}\nMD5 (y) = {B}\nSHA1 (x) = {A}00000000\n");
        let names: Vec<_> = List::parse(&list)
            .of_path(&["x"])
            .unwrap()
            .iter()
            .map(|it| it.algorithm.clone().unwrap())
            .collect();
        assert_eq!(names, ["MD5", "SHA1"]);
    }

    #[test]
    fn a_digest_alone_is_for_the_file_it_was_given_for() {
        assert_eq!(digests(&format!("{A}\n"), "/any/thing"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&format!("{A}\n{B}\n"), "/any/thing"), Ok(vec![]));
    }

    #[test]
    fn names_that_were_escaped_are_what_they_were() {
        let name = |line: String| List::parse(&line).stated[0].name.clone();
        assert_eq!(name(format!("\\{A}  a\\\\b\\nc")).as_deref(), Some("a\\b\nc"));
        assert_eq!(name(format!("{A}  a b (1).iso")).as_deref(), Some("a b (1).iso"));
        assert_eq!(name(format!("SHA256 (a (1) = b) = {A}")).as_deref(), Some("a (1) = b"));
    }

    proptest! {
        #[test]
        fn reading_a_list_never_panics(text in "(\\PC|[\\n()=* ]|[0-9a-f]{32})*", path in "\\PC*") {
            let _ = List::parse(&text).of_path(&[path]);
        }
    }
}
