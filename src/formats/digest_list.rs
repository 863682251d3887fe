//! Digest lists in the formats of coreutils (`HEX  name`) and of BSD (`SHA256 (name) = HEX`).

use super::file_name::ForeignName;
use std::collections::HashMap;

/// Digest stated by one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    /// Name of the algorithm on the line. Lines in coreutils format have none.
    pub(crate) algorithm: Option<String>,
    /// Digest in hexadecimal.
    pub(crate) digest: String,
    /// Path of the file, components separated by `/`; `None` if the line is a bare digest.
    pub(crate) name: Option<String>,
    /// Line number, counted from 1.
    pub(crate) line: usize,
    /// True if the list gives the path from the root.
    pub(crate) is_absolute: bool,
}

/// Digests of a list, indexed by name: both entries and lookups may be many.
#[derive(Clone, Debug, Default)]
pub(crate) struct DigestList {
    /// Number of lines that state a digest, and the first of them.
    count: usize,
    first: Option<Stated>,
    files: HashMap<String, OfFile>,
    /// Files by their last component, whatever directory they are in.
    names: HashMap<String, Vec<String>>,
    /// Files whose unsafe name haul changes to this one.
    changed: HashMap<String, Vec<String>>,
}

impl Stated {
    /// Name under which haul saves its file.
    fn saved_as(&self) -> Option<ForeignName> {
        ForeignName::below(self.name.as_ref()?).ok()
    }
}

/// Lines about one file: bounded, however many the list has.
#[derive(Clone, Debug, Default)]
struct OfFile(Vec<Stated>);

impl OfFile {
    /// Keeps a line that adds something: a new kind of digest, or the first contradiction to one. Repetitions are
    /// dropped.
    fn take(&mut self, stated: Stated) {
        let alike = || self.0.iter().filter(|other| other.is_like(&stated));
        let repeats = alike().any(|other| other.digest.eq_ignore_ascii_case(&stated.digest));
        if !repeats && alike().count() < 2 && self.0.len() < MOST_OF_FILE {
            self.0.push(stated);
        }
    }
}

impl Stated {
    /// Returns true if the two are of one kind, so that only one of them can be right.
    fn is_like(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        self.digest.len() == other.digest.len() && same(&self.algorithm, &other.algorithm)
    }
}

/// Lines kept for one file: more kinds of digests are not in use.
const MOST_OF_FILE: usize = 32;

/// Shortest digest accepted, in hex digits: publishers use no shorter ones, and those might be words.
const SHORTEST: usize = 32;

/// Path components that are compared, from the end.
const DEEPEST: usize = 64;

impl DigestList {
    /// Parses a list and skips lines without a digest. If a part of the text is signed, only that part counts: a
    /// signature that was checked does not cover the text around it.
    pub(crate) fn parse(text: &str) -> Self {
        let mut list = Self::default();
        let stated = |(number, line)| {
            let stated = bsd(line).or_else(|| coreutils(line))?;
            Some(Stated { line: number, ..stated })
        };
        for stated in signed(text).into_iter().filter_map(stated) {
            list.count += 1;
            list.first.get_or_insert_with(|| stated.clone());
            let Some(file) = &stated.name else {
                continue;
            };
            if !list.files.contains_key(file) {
                let name = file.rsplit('/').next().unwrap_or_default();
                list.names.entry(name.to_owned()).or_default().push(file.clone());
                if let Some(saved) = stated.saved_as().filter(ForeignName::is_changed) {
                    list.changed.entry(saved.name().to_owned()).or_default().push(file.clone());
                }
            }
            list.files.entry(file.clone()).or_default().take(stated);
        }
        list
    }

    /// Names under which haul saves the files of the list.
    #[cfg(test)]
    pub(super) fn saved_names(&self) -> impl Iterator<Item = ForeignName> {
        self.files.values().flat_map(|of_file| &of_file.0).filter_map(Stated::saved_as)
    }

    /// Paths of all files of the list as it gives them, in the order of their first lines.
    #[cfg(feature = "cli")]
    pub(crate) fn names(&self) -> Vec<String> {
        let first = |of_file: &OfFile| {
            of_file.0.first().map_or((usize::MAX, false), |stated| (stated.line, stated.is_absolute))
        };
        let mut names: Vec<_> = self.files.iter().map(|(name, of_file)| (first(of_file), name)).collect();
        names.sort_unstable();
        let path = |((_, is_absolute), name): ((usize, bool), &String)| {
            if is_absolute { format!("/{name}") } else { name.clone() }
        };
        names.into_iter().map(path).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the only entry of the list if it is a digest without a name.
    pub(crate) fn only(&self) -> Option<&Stated> {
        self.first.as_ref().filter(|first| self.count == 1 && first.name.is_none())
    }

    /// Returns the lines about the file at the end of a path, which is given in components: of the files whose whole
    /// name is a suffix of the path, the one with the most directories; if there is none, the only file of that name. A
    /// list that is just one bare digest matches any file.
    ///
    /// # Errors
    /// Number of files of this name in the list, if the path does not tell them apart.
    pub(crate) fn of_path(&self, path: &[impl AsRef<str>]) -> Result<Vec<&Stated>, usize> {
        if let Some(only) = self.only() {
            return Ok(vec![only]);
        }
        let parts: Vec<_> = path.iter().map(AsRef::as_ref).filter(|part| !part.is_empty()).collect();
        let nearest = parts.len().saturating_sub(DEEPEST)..parts.len();
        let whole = nearest.filter_map(|from| self.files.get(&parts[from..].join("/"))).next();
        let named = path.last().map(AsRef::as_ref);
        let named = named.and_then(|name| self.names.get(name).or_else(|| self.changed.get(name)));
        let lines = match (whole, named) {
            (Some(lines), _) => Some(lines),
            (None, Some(files)) if files.len() > 1 => return Err(files.len()),
            (None, files) => files.and_then(|files| self.files.get(files.first()?)),
        };
        Ok(lines.into_iter().flat_map(|of_file| &of_file.0).collect())
    }
}

const SIGNED: &str = "BEGIN PGP SIGNED MESSAGE";

/// Returns the numbered lines of the signed part, or all lines if there is none (RFC 9580 §7). In a signed part a dash
/// and a blank may precede a line. If the signed part is ambiguous, as with two of them, returns none.
fn signed(text: &str) -> Vec<(usize, &str)> {
    let is = |line: &str, mark: &str| line.trim_end_matches([' ', '\t', '\r']) == mark;
    let marks: Vec<_> = text.lines().filter(|line| line.contains(SIGNED)).collect();
    if marks.is_empty() {
        return numbered(text.strip_prefix('\u{feff}').unwrap_or(text)).collect();
    }
    let begins = |line: &str| is(line, "-----BEGIN PGP SIGNED MESSAGE-----");
    let ends = |line: &str| is(line, "-----BEGIN PGP SIGNATURE-----");
    // The header lines up to the first empty line are not signed either.
    let after = numbered(text).skip_while(|(_, line)| !begins(line)).skip_while(|(_, line)| !is(line, ""));
    let lines: Vec<_> = after.take_while(|(_, line)| !ends(line)).collect();
    let is_whole = matches!(marks[..], [mark] if begins(mark)) && text.lines().any(ends);
    if !is_whole {
        return Vec::new();
    }
    lines.into_iter().map(|(number, line)| (number, line.strip_prefix("- ").unwrap_or(line))).collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

/// Parses `SHA256 (name) = HEX`, and the variant of OpenSSL: `SHA2-256(name)= HEX`.
fn bsd(line: &str) -> Option<Stated> {
    let (line, escaped) = unmarked(line);
    let (algorithm, rest) = line.split_once('(')?;
    let (name, digest) = rest.rsplit_once(')')?;
    let digest = digest.trim_start().strip_prefix('=')?.trim();
    let algorithm = algorithm.trim();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let usable = !algorithm.is_empty() && algorithm.chars().all(is_word) && is_digest(digest);
    let is_absolute = name.starts_with('/');
    let name = file(name, escaped).filter(|_| usable)?;
    Some(Stated {
        is_absolute,
        algorithm: Some(algorithm.to_owned()),
        digest: digest.to_owned(),
        name: Some(name),
        line: 0,
    })
}

/// Parses `HEX  name`, with a star for "binary" in place of the second blank, or a bare digest. A single blank or a tab
/// separates as well.
fn coreutils(line: &str) -> Option<Stated> {
    let (line, escaped) = unmarked(line);
    let (digest, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let name = name.strip_prefix([' ', '*']).unwrap_or(name);
    let is_absolute = name.starts_with('/');
    let name = if name.trim().is_empty() { None } else { Some(file(name, escaped)?) };
    is_digest(digest).then(|| Stated {
        algorithm: None,
        digest: digest.to_owned(),
        name,
        line: 0,
        is_absolute,
    })
}

/// Returns the line, and true if its name is backslash-escaped: coreutils then marks the line with a leading backslash.
fn unmarked(line: &str) -> (&str, bool) {
    line.strip_prefix('\\').map_or((line, false), |line| (line, true))
}

/// Normalizes a file name. Without the mark at the beginning of the line a backslash is a separator, as on Windows.
fn file(name: &str, escaped: bool) -> Option<String> {
    let name = if escaped { unescaped(name) } else { name.replace('\\', "/") };
    let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn unescaped(name: &str) -> String {
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
        let list = DigestList::parse(text);
        list.of_path(&path).map(|found| found.into_iter().map(|stated| stated.digest.clone()).collect())
    }

    #[test]
    fn a_file_has_the_digest_beside_its_name() {
        let lists = [
            format!("{A}  x.iso\n{B}  y.iso\n"),
            format!("{A} *x.iso\r\n{B} *./y.iso\r\n"),
            format!("# two\nMD5 (x.iso) = {A}\nMD5 (y.iso) = {B}\n"),
            format!("MD5(x.iso)= {A}\nMD5(y.iso)= {B}"),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\n\n{A}  x.iso\n{B}\ty.iso\n-----BEGIN PGP SIGNATURE-----\n"
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
    fn beside_a_signed_part_nothing_counts() {
        let (begin, end) = (
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n0cc175b9c0f1b6a831c399e269772661  rel/x\n\n",
            "-----BEGIN PGP SIGNATURE-----\n",
        );
        let list = format!(
            "{B}  rel/x\n{begin}{A}  x\n- {B}  y\n{end}{B}  z\n-----END PGP SIGNATURE-----\n{B}  rel/x\n"
        );
        assert_eq!(digests(&list, "/rel/x"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&list, "/rel/y"), Ok(vec![B.to_owned()]));
        assert_eq!(digests(&list, "/rel/z"), Ok(vec![]));
        // Text that readers of signatures would not count as signed does not count here.
        let fake = format!("{}\n{B}  x\n{end}", begin.replace("-\n", "-\u{a0}\n"));
        for unsure in [format!("{fake}{list}"), format!("{list}{list}"), list.replace(end, ""), fake] {
            assert_eq!(digests(&unsure, "/rel/x"), Ok(vec![]), "{unsure}");
        }
    }

    #[test]
    fn of_files_with_one_name_the_one_whose_whole_name_the_path_ends_in_is_meant() {
        let list = format!("{A}  amd64/x.iso\n{B}  arm64\\x.iso\n");
        assert_eq!(digests(&list, "/pub/amd64/x.iso"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&list, "/pub/arm64/x.iso"), Ok(vec![B.to_owned()]));
        assert_eq!(digests(&list, "/pub/x.iso"), Err(2));
        assert_eq!(digests(&format!("{list}{A}  ./x.iso"), "/pub/x.iso"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&format!("{list}{A}  ./x.iso"), "/pub/arm64/x.iso"), Ok(vec![B.to_owned()]));
        assert_eq!(digests(&format!("{A}  deep/down/x.iso"), "/x.iso"), Ok(vec![A.to_owned()]));
    }

    #[test]
    fn a_file_is_found_by_the_name_that_it_was_saved_under() {
        let list = format!("{A}  .hidden.iso\n{B}  y.part\n");
        assert_eq!(digests(&list, "hidden.iso"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&list, "y.part_"), Ok(vec![B.to_owned()]));
        assert_eq!(digests(&format!("{list}{B}  hidden.iso\n"), "hidden.iso"), Ok(vec![B.to_owned()]));
    }

    #[test]
    fn several_algorithms_for_one_file_all_count() {
        let list = DigestList::parse(&format!("MD5 (x) = {A}\nMD5 (y) = {B}\nSHA1 (x) = {A}00000000\n"));
        let stated = list.of_path(&["x"]).unwrap();
        let algorithms: Vec<_> = stated.iter().map(|stated| stated.algorithm.clone().unwrap()).collect();
        assert_eq!(algorithms, ["MD5", "SHA1"]);
    }

    #[test]
    fn of_many_lines_for_one_file_a_few_are_kept_and_a_contradiction_among_them() {
        let same = format!("{A}  x\n").repeat(100_000);
        assert_eq!(digests(&same, "x"), Ok(vec![A.to_owned()]));
        let many: String = (0..100_000).map(|number| format!("{number:032x}  x\n")).collect();
        assert_eq!(digests(&many, "x").unwrap().len(), 2);
        let functions: String = (0..100_000).map(|number| format!("F{number} (x) = {A}\n")).collect();
        assert_eq!(digests(&functions, "x").unwrap().len(), MOST_OF_FILE);
        let list = format!("{A}  x\n# a remark\n{}  x\n{B}  x\n", A.to_ascii_uppercase());
        let lines: Vec<_> =
            DigestList::parse(&list).of_path(&["x"]).unwrap().iter().map(|it| it.line).collect();
        assert_eq!(lines, [1, 4]);
    }

    #[test]
    fn a_digest_alone_is_for_the_file_it_was_given_for() {
        assert_eq!(digests(&format!("{A}\n"), "/any/thing"), Ok(vec![A.to_owned()]));
        assert_eq!(digests(&format!("{A}\n{B}\n"), "/any/thing"), Ok(vec![]));
    }

    #[test]
    fn names_are_what_they_were() {
        let name = |line: String| DigestList::parse(&line).first.unwrap().name;
        assert_eq!(name(format!("\\{A}  a\\\\b\\nc")).as_deref(), Some("a\\b\nc"));
        assert_eq!(name(format!("{A}  a b (1).iso")).as_deref(), Some("a b (1).iso"));
        assert_eq!(name(format!("{A}  *star and blank ")).as_deref(), Some("*star and blank "));
        assert_eq!(name(format!("{A} **star")).as_deref(), Some("*star"));
        assert_eq!(name(format!("SHA256 (a (1) = b) = {A}")).as_deref(), Some("a (1) = b"));
    }

    proptest! {
        #[test]
        fn reading_a_list_never_panics(text in "(\\PC|[\\n()=* /]|[0-9a-f]{32})*", path in "\\PC*") {
            let parts: Vec<_> = path.split('/').collect();
            let _ = DigestList::parse(&text).of_path(&parts);
        }
    }
}
