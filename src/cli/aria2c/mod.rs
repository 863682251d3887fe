//! aria2c's command line: its flags in haul's words, and its exit codes.

mod flags;
mod given;
mod line;
mod marker;

use super::output;
use crate::error::Error;
use crate::formats::escape;
use flags::Means::{Never, Nothing, NothingSwitch};
use flags::{FLAGS, NO_TORRENTS, OF_DAEMON, OF_RPC, PROXIES, UNHEARD, find, is_switch};
use given::{Given, parse, with_file};
use line::Line;
pub(super) use marker::{marker, remove_marker, write_marker};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Code of aria2 for an option that it does not know, or that makes no sense.
const BAD_OPTION: u8 = 28;

/// Request that a command line of aria2c makes.
#[derive(Debug, PartialEq)]
pub(super) enum Invocation {
    Version,
    Help,
    /// The same in haul's words, and notes about what cannot be honoured.
    Haul {
        args: Vec<OsString>,
        notes: Vec<String>,
        beside: Beside,
    },
}

/// Options that haul's own command line does not have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Beside {
    /// `--continue`.
    pub(super) goes_on: bool,
    pub(super) serving: Option<Serving>,
}

/// A daemon in place of aria2c.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Serving {
    pub(super) secret: Option<String>,
    /// List of jobs that are added at the start.
    pub(super) input_file: Option<PathBuf>,
    /// URLs that are added at the start, those of each file together.
    pub(super) files: Vec<Vec<String>>,
    /// List that is written at the end.
    pub(super) save_session: Option<PathBuf>,
}

/// Returns the arguments for aria2c, if haul is called by its name or told to be it.
pub(super) fn called(args: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = args.split_first()?;
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    if name.contains("aria2c") {
        return Some(rest);
    }
    match rest.split_first() {
        Some((first, rest)) if first == "aria2c" => Some(rest),
        _ => None,
    }
}

/// Says in haul's words what a command line of aria2c asks for; `read` gives the text of a file of options.
///
/// # Errors
/// A message for what makes no sense, or cannot be done.
pub(super) fn asked(
    args: &[OsString],
    read: impl Fn(Option<&str>) -> Result<Option<String>, String>,
) -> Result<Invocation, String> {
    let mut notes = Vec::new();
    let mut given = parse(args)?;
    if given.is_on("version") {
        return Ok(Invocation::Version);
    }
    if given.last("help").is_some() {
        return Ok(Invocation::Help);
    }
    if !given.is_on("no-conf")
        && let Some(text) = read(given.last("conf-path"))?
    {
        for name in with_file(&mut given, &text) {
            notes.push(format!("the file of options names {name}, which is no option here"));
        }
    }
    if given.is_on("parameterized-uri") && given.urls.iter().any(|url| url.contains(['{', '['])) {
        return Err("parameterized URIs are not supported: list the URLs".to_owned());
    }
    if given.is_on("daemon") {
        notes.push("--daemon is not honoured: haul stays in front, as under a service manager, or behind & of a shell".to_owned());
    }
    notes.extend(unheard(&given));
    if let Some(url) = given.urls.iter().find(|url| url.starts_with("magnet:") || url.ends_with(".torrent")) {
        return Err(format!("{NO_TORRENTS}: {url}"));
    }
    if given.is_on("enable-rpc") {
        return serving(&given, notes);
    }
    take_metalink_files(&mut given)?;
    let mut line = Line { args: vec!["haul".into()], notes };
    line.add("--no-config", None);
    line.translate_all(&given, |_| true)?;
    line.put_together(&given)?;
    line.sources(&given);
    let beside = Beside { goes_on: given.is_on("continue"), serving: None };
    Ok(Invocation::Haul { args: line.args, notes: line.notes, beside })
}

/// Takes a Metalink document on disk, named like a URL, as that of `--metalink-file`.
fn take_metalink_files(given: &mut Given) -> Result<(), String> {
    let is_document =
        |url: &String| !url.contains("://") && (url.ends_with(".meta4") || url.ends_with(".metalink"));
    let documents: Vec<_> = given.urls.extract_if(.., |url| is_document(url)).collect();
    let named = given.options.iter().filter(|(name, _)| *name == "metalink-file").count();
    if documents.len() + named > 1 {
        return Err("one Metalink document can be read at once".to_owned());
    }
    given.options.extend(documents.into_iter().map(|document| ("metalink-file", document)));
    Ok(())
}

/// Options that are not honoured, each once.
fn unheard(given: &Given) -> impl Iterator<Item = String> {
    let is_meant = |name: &str| given.last(name).is_some_and(|value| !matches!(value, "" | "0" | "false"));
    let meant = UNHEARD.iter().filter(move |(name, _)| is_meant(name));
    meant.map(|(name, why)| format!("--{name} is not honoured: {why}"))
}

/// `--enable-rpc`: the daemon.
fn serving(given: &Given, notes: Vec<String>) -> Result<Invocation, String> {
    let secure = ["rpc-secure", "rpc-certificate", "rpc-private-key"];
    let secure = secure.into_iter().find(|name| given.last(name).is_some_and(|value| value != "false"));
    if let Some(name) = secure {
        return Err(format!(
            "--{name}: the RPC speaks no TLS here, and the secret would go in the clear; put a server with TLS before it"
        ));
    }
    let mut line = Line { args: vec!["haul".into(), "serve".into()], notes };
    line.add("--no-config", None);
    let host = if given.is_on("rpc-listen-all") { "0.0.0.0" } else { "127.0.0.1" };
    line.add("--listen", Some(&format!("{host}:{}", given.last("rpc-listen-port").unwrap_or("6800"))));
    line.add("--root", Some(given.last("dir").unwrap_or(".")));
    if given.is_on("rpc-allow-origin-all") {
        line.add("--allow-origin", Some("*"));
    }
    line.translate_all(given, |name| {
        OF_DAEMON.contains(&name) || matches!(find(name), Some((_, _, Never(_))))
    })?;
    if let Some(limit) = given.last("max-overall-download-limit").filter(|limit| *limit != "0") {
        line.add("--limit-rate", Some(limit));
    }
    line.connections(given)?;
    let is_heard = |name: &&str| {
        let quiet = matches!(find(name), Some((_, _, Nothing | NothingSwitch)));
        quiet || OF_DAEMON.contains(name) || PROXIES.contains(name) || OF_RPC.contains(name)
    };
    let unheard: Vec<_> =
        given.options.iter().map(|(name, _)| *name).filter(|name| !is_heard(name)).collect();
    for name in unheard {
        line.notes.push(format!(
            "--{name} is said for each job by the clients of the daemon, and is left out here"
        ));
    }
    line.notes.sort();
    line.notes.dedup();
    let path = |name: &str| given.last(name).map(PathBuf::from);
    let files = match given.is_on("force-sequential") {
        true => given.urls.iter().map(|url| vec![url.clone()]).collect(),
        false if given.urls.is_empty() => Vec::new(),
        false => vec![given.urls.clone()],
    };
    let serving = Serving {
        secret: given.last("rpc-secret").map(str::to_owned),
        input_file: path("input-file"),
        files,
        save_session: path("save-session"),
    };
    let beside = Beside { goes_on: false, serving: Some(serving) };
    Ok(Invocation::Haul { args: line.args, notes: line.notes, beside })
}

/// Code of aria2 for an error.
pub(super) fn code_of(error: &Error) -> u8 {
    crate::rpc::aria2_code(error)
}

/// Code of aria2 for one of haul.
pub(super) fn exit_code(code: u8) -> u8 {
    match code {
        2 => BAD_OPTION,
        4 => 24,
        5 => 22,
        // The common reason is a full disk, which is aria2's 9 as well.
        9 => 9,
        7 | 13 => 1,
        10 => 13,
        11 => 15,
        12 => 32,
        128.. => 7,
        same => same,
    }
}

/// Text of `aria2c --version`, with the line that programs look for.
pub(super) fn version() -> String {
    format!(
        "aria2 version 1.37.0 (haul {})\n\n** Configuration **\nEnabled Features: Async DNS, HTTPS, Message Digest, Metalink\n\
         Hash Algorithms: sha-1, sha-256, sha-512, md5\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Text of `aria2c --help`, with every flag.
pub(super) fn help() -> String {
    let mut text = "Usage: aria2c [OPTIONS] [URI]...\n\
                    haul in place of aria2c. See haul --help for haul's own command line, which does the same and more.\n\nOptions:\n"
        .to_owned();
    let mut flags: Vec<_> = FLAGS.iter().collect();
    flags.sort_by_key(|(name, ..)| *name);
    for (name, short, means) in flags {
        let short = short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = if is_switch(name, *means) { "[=true|false]" } else { "=VALUE" };
        let note = match means {
            Nothing | NothingSwitch => "   (taken, and without an effect)",
            Never(_) => "   (refused)",
            _ => "",
        };
        text.push_str(&format!(" {short}--{name}{value}{note}\n"));
    }
    text
}

/// Tells what cannot be honoured, once.
pub(super) fn tell(notes: &[String]) {
    for note in notes {
        output::say(format_args!("haul: note: {}", escape::shown(note)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &[&str]) -> (Vec<String>, Vec<String>) {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        match asked(&args, |_| Ok(None)).unwrap() {
            Invocation::Haul { args, notes, .. } => {
                let args = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
                (args, notes)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_drivers_pass_is_said_in_hauls_words() {
        let url = "http://h/f";
        for (args, line) in [
            // yt-dlp
            (
                &[
                    "-c",
                    "--no-conf",
                    "--console-log-level=warn",
                    "--summary-interval=0",
                    "--download-result=hide",
                    "--http-accept-gzip=true",
                    "--file-allocation=none",
                    "-x16",
                    "-j16",
                    "-s16",
                    "--header",
                    "A: b",
                    "--check-certificate=false",
                    "--remote-time=true",
                    "--dir",
                    "d/",
                    "--out",
                    "f.part",
                    "--auto-file-renaming=false",
                    "--",
                    url,
                ][..],
                "--no-config --jobs=16 --header=A: b --insecure --remote-time --dir=d/ --output=f.part --connections=16 -- http://h/f",
            ),
            // apt-fast
            (
                &[
                    "--no-conf",
                    "-c",
                    "-j",
                    "5",
                    "-x",
                    "5",
                    "-s",
                    "5",
                    "-i",
                    "list",
                    "--min-split-size=1M",
                    "--stream-piece-selector=default",
                    "--connect-timeout=600",
                    "--timeout=600",
                    "-m0",
                ],
                "--no-config --jobs=5 --input-file=list --min-split-size=1M --connect-timeout=600s --stall-timeout=600s \
                 --first-byte-timeout=600s --connections=5 --retry=1000000",
            ),
            (
                &["-x", "16", "-s", "4", "--checksum=md5=0", url, "http://g/f"],
                "--no-config --checksum=md5=0 --connections=4 --if-exists=rename --mirror=http://g/f -- http://h/f",
            ),
            (
                &["-Zq", "--allow-overwrite=true", url, "http://g/g"],
                "--no-config --quiet --if-exists=overwrite -- http://h/f http://g/g",
            ),
            (
                &["--http-user=me", "--http-passwd=pw", "--referer=r", "-m3", "-c", url],
                "--no-config --retry=2 --user=me:pw --header=Referer: r -- http://h/f",
            ),
            (&["-P", "-Pfalse", "-c", url], "--no-config -- http://h/f"),
            (&["-ctrue", "-o", "-x", url], "--no-config --output=-x -- http://h/f"),
            (
                &["-d", "x", "-d", "y", "--http-proxy=p:1", "--all-proxy=q:1", "-c", url],
                "--no-config --dir=y --proxy=q:1 -- http://h/f",
            ),
        ] {
            assert_eq!(said(args).0.join(" "), line, "{args:?}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        let (line, notes) =
            said(&["--lowest-speed-limit=1K", "--bt-max-peers", "5", "-c", "http://h/f", "http://g/f"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(line.ends_with(&["--".to_owned(), "http://h/f".to_owned()]));
        for args in [
            &["-T", "x.torrent"][..],
            &["magnet:?xt=x"],
            &["-P", "http://h/[1-3]"],
            &["-!"],
            &["-o"],
            &["--nonsense", "http://h"],
            &["-x", "abc", "http://h"],
        ] {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            assert!(asked(&args, |_| Ok(None)).is_err(), "{args:?}");
        }
    }

    #[test]
    fn a_file_of_options_counts_less_than_flags_and_not_with_no_conf() {
        let read = |_: Option<&str>| Ok(Some("# c\nsplit=8\ndir=/d\nnonsense=1\n".to_owned()));
        let words = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            match asked(&args, read).unwrap() {
                Invocation::Haul { args, .. } => {
                    args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        let line = words(&["-s2", "-c", "http://h/f"]);
        assert!(
            line.contains(&"--connections=2".to_owned()) && line.contains(&"--dir=/d".to_owned()),
            "{line:?}"
        );
        let line = words(&["--no-conf", "-c", "http://h/f"]);
        assert!(!line.contains(&"--dir=/d".to_owned()), "{line:?}");
    }

    #[test]
    fn the_rpc_is_the_daemon() {
        let args: Vec<_> = ["--enable-rpc", "--rpc-listen-port=6801", "--rpc-secret=s", "-d", "/d", "-j2"]
            .map(OsString::from)
            .into();
        let Invocation::Haul { args, beside, .. } = asked(&args, |_| Ok(None)).unwrap() else { panic!() };
        let line: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert_eq!(line.join(" "), "haul serve --no-config --listen=127.0.0.1:6801 --root=/d --jobs=2");
        assert_eq!(beside.serving.unwrap().secret.as_deref(), Some("s"));
        let args: Vec<_> =
            ["--enable-rpc", "-i", "l", "--save-session=s", "-U", "me", "-D", "http://h/a", "http://g/a"]
                .map(OsString::from)
                .into();
        let Invocation::Haul { args, notes, beside } = asked(&args, |_| Ok(None)).unwrap() else { panic!() };
        assert!(
            args.contains(&"--user-agent=me".into()) && notes.len() == 1 && notes[0].contains("--daemon"),
            "{notes:?}"
        );
        let serving = beside.serving.unwrap();
        assert_eq!(serving.files, [["http://h/a", "http://g/a"]]);
        assert_eq!([serving.input_file, serving.save_session], [Some("l".into()), Some("s".into())]);
    }

    #[test]
    fn a_daemon_that_would_send_its_secret_in_the_clear_does_not_start() {
        for option in ["--rpc-secure=true", "--rpc-secure", "--rpc-certificate=c", "--rpc-private-key=k"] {
            let args: Vec<_> = ["--enable-rpc", option].map(OsString::from).into();
            assert!(asked(&args, |_| Ok(None)).unwrap_err().contains("in the clear"), "{option}");
        }
        let read = |_: Option<&str>| {
            Ok(Some("rpc-user=me\nnonsense=1\non-download-complete=x\nrpc-secure=false\n".to_owned()))
        };
        let Invocation::Haul { notes, .. } = asked(&["--enable-rpc".into()], read).unwrap() else { panic!() };
        for said in ["--rpc-user is not honoured", "names nonsense", "--on-download-complete is not honoured"]
        {
            assert_eq!(notes.iter().filter(|note| note.contains(said)).count(), 1, "{notes:?}");
        }
    }

    #[test]
    fn the_help_has_every_flag() {
        let help = help();
        for (name, ..) in FLAGS {
            assert!(help.contains(&format!("--{name}")), "{name}");
        }
        assert!(help.contains(" -x, --max-connection-per-server=VALUE\n"));
    }

    #[test]
    fn haul_is_aria2c_where_it_is_called_so() {
        let called = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            called(&args).map(<[OsString]>::len)
        };
        assert_eq!(called(&["/usr/bin/aria2c", "-v"]), Some(1));
        assert_eq!(called(&["haul-aria2c"]), Some(0));
        assert_eq!(called(&["haul", "aria2c", "a", "b"]), Some(2));
        assert_eq!(called(&["haul", "http://h/aria2c"]), None);
    }
}
