//! Lists of jobs in the form of aria2's session files: the URIs of a file in a line, separated by tabs, and its options in indented lines.

use super::options::{kept, own_lines};
use crate::Job;
use serde_json::{Map, Value};

/// One file: its URIs and its options.
pub(super) type Listed = (Vec<String>, Map<String, Value>);

/// Parses a list; blank lines and comments are skipped.
pub(super) fn parse(text: &str) -> Vec<Listed> {
    let mut files: Vec<Listed> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with([' ', '\t']) {
            let uris = line.split('\t').map(str::trim).filter(|uri| !uri.is_empty());
            files.push((uris.map(str::to_owned).collect(), Map::new()));
        } else if let (Some((name, value)), Some((_, options))) =
            (line.trim().split_once('='), files.last_mut())
        {
            match options.get_mut(name) {
                // Only headers and the like are given several times.
                Some(Value::Array(lines)) => lines.push(value.into()),
                _ if name == "header" => drop(options.insert(name.to_owned(), Value::from(vec![value]))),
                _ => drop(options.insert(name.to_owned(), value.into())),
            }
        }
    }
    files
}

/// Entry of a job that has not ended well, which adds it again with its identifier.
pub(super) fn entry(job: &Job, gid: &str, is_paused: bool) -> String {
    let mut text =
        std::iter::once(&job.url).chain(&job.mirrors).map(|uri| format!("{uri}\t")).collect::<String>();
    let mut put = |name: &str, value: &str| {
        if !value.contains(['\n', '\r']) {
            text.push_str(&format!("\n {name}={value}"));
        }
    };
    put("gid", gid);
    let options = kept(job);
    if let Some(dir) = job.dir.as_ref().filter(|_| !options.contains_key("dir")) {
        put("dir", &dir.to_string_lossy());
    }
    for (name, value) in &options {
        if let Some(value) = value.as_str().filter(|_| !matches!(&name[..], "gid" | "pause" | "position")) {
            put(name, value);
        }
    }
    if is_paused {
        put("pause", "true");
    }
    // Those that other options make are not headers of their own.
    let own = own_lines(&options).unwrap_or_default();
    for line in job.headers.values().flatten().filter(|line| !own.contains(line)) {
        put("header", line);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::options::asked;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn a_job_that_is_written_is_read_as_the_same() {
        let options = json!({
            "dir": "d", "out": "o ut", "split": "3", "header": ["A: b", "C: d"], "user-agent": "u", "pause": "true",
            "checksum": format!("md5={}", "0".repeat(32)), "gid": "0123456789abcdef",
        });
        let uris = ["http://h/a".to_owned(), "http://g/b".to_owned()];
        let job = asked(&uris, options.as_object().unwrap(), Path::new("/root")).unwrap().job;
        let text = entry(&job, "0123456789abcdef", true);
        assert!(text.starts_with("http://h/a\thttp://g/b\t\n gid=0123456789abcdef\n"), "{text}");
        let read = parse(&format!("# a comment\n\n{text}http://h/c\n"));
        assert_eq!(
            (read.len(), &read[0].0[..], &read[1].0[..]),
            (2, &uris[..], &["http://h/c".to_owned()][..])
        );
        assert_eq!(Value::Object(read[0].1.clone()), options);
        assert_eq!(asked(&uris, &read[0].1, Path::new("/root")).unwrap().job, job);
    }
}
