//! Coverage of the cases in `docs/cases.md` by tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Collects the tests of a file by the cases named above them.
fn cases_in(path: &Path, found: &mut BTreeMap<String, Vec<String>>) {
    let text = fs::read_to_string(path).unwrap();
    let module = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut above: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(remark) = line.strip_prefix("// T") {
            let numbers = format!("T{remark}");
            above.extend(numbers.split(", ").filter(|word| is_case(word)).map(str::to_owned));
        } else if let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) {
            let name = rest.split('(').next().unwrap_or_default();
            for case in above.drain(..) {
                found.entry(case).or_default().push(format!("{module}::{name}"));
            }
        }
    }
}

fn is_case(word: &str) -> bool {
    word.len() == 4 && word.starts_with('T') && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

fn rust_files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_case_is_covered_and_every_number_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/cases.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split(" | ");
        let case = cells.next()?.strip_prefix("| ")?.to_owned();
        is_case(&case).then(|| (case, cells.next().unwrap_or_default().trim_end_matches(" |").to_owned()))
    };
    let explained: BTreeMap<_, _> = text.lines().filter_map(row).collect();
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("tests"), &mut files);
    let mut covered = BTreeMap::new();
    files.iter().for_each(|path| cases_in(path, &mut covered));
    for (case, what) in &explained {
        eprintln!("{case}  {what}");
        covered.get(case).into_iter().flatten().for_each(|test| eprintln!("        {test}"));
    }
    eprintln!("{} cases", explained.len());
    let missing: Vec<_> = explained.keys().filter(|case| !covered.contains_key(*case)).collect();
    let unexplained: Vec<_> = covered.keys().filter(|case| !explained.contains_key(*case)).collect();
    assert!(
        missing.is_empty() && unexplained.is_empty(),
        "without a test: {missing:?}; unexplained: {unexplained:?}"
    );
}
