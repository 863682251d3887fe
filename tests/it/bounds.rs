//! Bounds on untrusted input, and the messages about invalid input.

use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(122, 1);

fn digest(fill: char) -> String {
    fill.to_string().repeat(64)
}

#[test]
fn digests_that_contradict_one_another_are_told_before_anything_is_asked() {
    let server = Server::serve(PAYLOAD).start();
    let (url, sandbox) = (server.url("/x.iso"), Sandbox::new());
    let (one, two) = (digest('0'), digest('1'));
    sandbox.write("SUMS", format!("{one}  x.iso\n{two}  x.iso\n"));
    sandbox.write("ONE", format!("{one}  x.iso\n"));
    sandbox.write("aria2", format!("{url}\n checksum=sha-256={one}\n checksum=sha-256={two}\n"));
    sandbox.write(
        "json",
        format!("{{\"url\": \"{url}\", \"sha256\": \"{one}\", \"checksum\": \"sha256:{two}\"}}\n"),
    );
    sandbox.write(
        "meta",
        format!(
            "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x.iso\"><url>{url}</url>\
             <hash type=\"sha-256\">{one}</hash><hash type=\"sha-256\">{two}</hash></file></metalink>"
        ),
    );
    sandbox.write("x.iso", "what is there");
    let of = |spec: &str| format!("sha256:{spec}");
    for args in [
        vec![url.clone(), "--sha256".into(), one.clone(), "--checksum".into(), of(&two)],
        vec![url.clone(), "--sha256".into(), two.clone(), "--checksum-file".into(), "ONE".into()],
        vec![url.clone(), "--checksum-file".into(), "SUMS".into()],
        vec!["-i".into(), "aria2".into()],
        vec!["-i".into(), "json".into()],
        vec!["--metalink".into(), "meta".into()],
        vec!["verify".into(), "x.iso".into(), "--checksum".into(), of(&one), "--checksum".into(), of(&two)],
        vec!["verify".into(), "x.iso".into(), "--checksum-file".into(), "SUMS".into()],
    ] {
        let outcome = sandbox.haul().args(&args).run();
        outcome.assert_failed(2).assert_says("different");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_hundred_thousand_lines_for_one_name_are_read_within_a_second() {
    let server = Server::serve(PAYLOAD).start();
    let digests: String = (0..100_000).map(|number| format!("{number:032x}  x.iso\n")).collect();
    let same = format!("{}  x.iso\n", PAYLOAD.sha256_hex()).repeat(100_000);
    let hashes: String =
        (0..100_000).map(|number| format!("<hash type=\"md5\">{number:032x}</hash>")).collect();
    let urls = format!("<url>{}</url>", server.url("/x.iso")).repeat(100_000);
    let meta = |inner: &str| {
        format!(
            "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x.iso\">{inner}</file></metalink>"
        )
    };
    let url = server.url("/x.iso");
    let options = |option: &dyn Fn(u32) -> String| -> String {
        std::iter::once(format!("{url}\n"))
            .chain((0..100_000).map(|number| format!(" {}\n", option(number))))
            .collect()
    };
    let cases = [
        ("SUMS", digests, "--checksum-file", true, 2),
        ("SAME", same, "--checksum-file", true, 0),
        ("hashes", meta(&format!("<url>{url}</url>{hashes}")), "--metalink", false, 2),
        ("urls", meta(&urls), "--metalink", false, 0),
        ("names", format!("{url}\n").repeat(100_000), "-i", false, 0),
        ("checksums", options(&|number| format!("checksum=md5={number:032x}")), "-i", false, 2),
        ("headers", options(&|number| format!("header=X-{number}: 1")), "-i", false, 2),
        (
            "cookies",
            (0..100_000).map(|number| format!("h\tFALSE\t/\tFALSE\t0\tn{number}\tv\n")).collect(),
            "-b",
            true,
            0,
        ),
        ("netrc", "machine h login a\n".repeat(3_000), "--netrc-file", true, 0),
    ];
    for (name, text, flag, with_url, code) in cases {
        let sandbox = Sandbox::new();
        sandbox.write(name, text);
        let outcome = sandbox.haul().args([flag, name]).args(with_url.then(|| url.clone())).run();
        // A build without optimisation is some ten times as slow on a busy machine.
        assert!(outcome.elapsed < Duration::from_secs(6), "{name}: {:?}", outcome.elapsed);
        match code {
            0 => drop(outcome.assert_ok()),
            code => drop(outcome.assert_failed(code)),
        }
    }
}

#[test]
fn a_file_that_is_larger_than_allowed_is_refused_before_its_first_byte() {
    let server = Server::serve(PAYLOAD).start();
    for args in [&["--max-size", "1023K"][..], &["--max-size", "1023K", "-o", "-"]] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(args).arg(server.url("/f")).run();
        outcome.assert_failed(13).assert_says("1048576 bytes").assert_says("--max-size");
        assert!(outcome.stdout.is_empty(), "{outcome}");
        sandbox.assert_empty();
    }
    let sandbox = Sandbox::new();
    sandbox.haul().env("HAUL_MAX_SIZE", "1000").arg(server.url("/f")).run().assert_failed(13);
    sandbox.haul().args(["--max-size", "1M"]).arg(server.url("/f")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "f");
}

#[test]
fn a_file_of_no_stated_length_is_given_up_once_it_is_larger_than_allowed() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            exchange.send_head(200, &[("Connection", "close"), ("Content-Type", "application/octet-stream")]);
            if request.is_get() {
                (0..64).for_each(|_| exchange.send_payload(0..PAYLOAD.len));
            }
            exchange.close();
        })
        .start();
    let sandbox = Sandbox::new();
    let url = server.url("/f");
    let run =
        |more: &[&str]| sandbox.haul().args(["--max-size", "2M", "--retry", "0"]).args(more).arg(&url).run();
    let (into_file, into_pipe) = (run(&[]), run(&["-o", "-"]));
    for outcome in [&into_file, &into_pipe] {
        outcome.assert_failed(13).assert_says("at most 2097152 are allowed");
        assert!(outcome.elapsed < Duration::from_secs(3), "{outcome}");
    }
    sandbox.assert_absent("f");
    // One byte beyond the limit shows that it is too large.
    let kept = std::fs::metadata(sandbox.part("f")).map_or(0, |part| part.len());
    assert!(kept <= 2 * MIB + 1, "{kept} bytes were kept");
    assert!(into_pipe.stdout.len() as u64 <= 2 * MIB + 1, "{} bytes were passed on", into_pipe.stdout.len());
}

#[test]
fn text_that_others_wrote_is_clipped_in_every_line() {
    let long = "x".repeat(5000);
    let answers = {
        let long = long.clone();
        move |request: &Request, exchange: &mut Exchange<'_>| match request.path() {
            "/status" => {
                exchange.send_raw(format!("HTTP/1.1 400 {long}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            }
            "/location" => exchange.redirect(302, &format!("ftp://{long}/")),
            "/back" => exchange.redirect(302, &format!("http://{long}.invalid/")),
            "/coded" => {
                let mut answer = exchange.answer();
                answer.set("Content-Encoding", &long);
                exchange.send(&answer);
            }
            "/realm" => {
                let mut answer = Answer::new(401);
                answer.set("WWW-Authenticate", format!("{long} realm=\"{long}\""));
                exchange.send(&answer);
            }
            "/meta" => {
                let mut answer =
                    Answer::text(200, &format!("<metalink><file name=\"../{long}\"/></metalink>"));
                answer.remove("Content-Type");
                exchange.send(&answer);
            }
            _ => {
                let mut answer = exchange.answer();
                answer.set("ETag", format!("\"{long}\"")).set("Content-Type", format!("a/{long}"));
                exchange.send(&answer);
            }
        }
    };
    let server = Server::serve(PAYLOAD).handler(answers).start();
    let url = |path: &str| server.url(path);
    for args in [
        vec![url("/status")],
        vec![url("/location")],
        vec![url("/back")],
        vec![url("/coded")],
        vec![url("/realm")],
        vec!["--metalink".to_owned(), url("/meta")],
        vec!["info".to_owned(), url("/other")],
        vec![url(&format!("/{long}"))],
        vec![format!("ftp://host/{long}")],
        vec![url("/f"), "--refresh-cmd".to_owned(), format!("echo {long}")],
    ] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(&args).args(["-v", "--retry", "0"]).run();
        let events =
            sandbox.haul().args(&args).args(["--json", "--retry", "0", "--if-exists", "overwrite"]).run();
        for line in outcome.stderr.lines().chain(outcome.stdout_text().lines()).chain(events.stderr.lines()) {
            assert!(line.chars().count() < 800, "{:?}: {line}", args[0]);
        }
        for event in events.events() {
            for field in ["message", "cause", "hint"] {
                let length = event[field].as_str().map_or(0, |text| text.chars().count());
                assert!(length <= 320, "{field}: {event}");
            }
        }
    }
}

#[test]
fn a_configuration_that_makes_no_sense_is_told_with_its_file_line_and_key() {
    let sandbox = Sandbox::new();
    let directory = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&directory).unwrap();
    for (text, told) in [
        ("\njobs = \"many\"\n", "config.toml: line 2: jobs: "),
        ("# mine\n\nconnections = 0\n", "config.toml: line 3: connections: "),
        ("retry = 3\nstall-timeout = \"soon\"\n", "config.toml: line 2: stall-timeout: "),
        ("no-such-key = 1\n", "config.toml: line 1: no-such-key: "),
        ("max-size = \"10X\"\n", "config.toml: line 1: max-size: "),
        ("retry = \n", "config.toml: line 1: retry: "),
        (
            "retry = 3\ncacert = \"/no/such.pem\"\n",
            "config.toml: line 2: cacert: the trusted certificates /no/such.pem: no such file",
        ),
        (
            "cert = \"/no/such.pem\"\n",
            "config.toml: line 1: cert: the client certificate /no/such.pem: no such file",
        ),
        ("interface = \"nosuch0\"\n", "config.toml: line 1: interface: no connection can begin at nosuch0"),
        ("user-agent = \"a\\nb\"\n", "config.toml: line 1: user-agent: it holds characters"),
    ] {
        std::fs::write(directory.join("config.toml"), text).unwrap();
        sandbox.haul().arg("http://host/f").run().assert_failed(2).assert_says(told);
        sandbox.haul().args(["--no-config", "htp://host/f"]).run().assert_failed(2);
    }
}

#[test]
fn a_variable_that_makes_no_sense_is_named_and_one_that_means_nothing_is_a_warning() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let haul = || sandbox.haul().arg(server.url("/f"));
    for (name, value) in [
        ("HAUL_CONNECTIONS", "many"),
        ("HAUL_CONNECTIONS", ""),
        ("HAUL_JOBS", "0"),
        ("HAUL_IF_EXISTS", "maybe"),
        ("HAUL_MAX_SIZE", "10X"),
        ("HAUL_STALL_TIMEOUT", "0"),
        ("HAUL_USER_AGENT", "a\nb"),
        ("HAUL_CACERT", "/no/such.pem"),
        ("HAUL_INTERFACE", "nosuch0"),
    ] {
        haul().env(name, value).run().assert_failed(2).assert_says(&format!("haul: {name}: "));
    }
    let outcome = haul().env("HAUL_CONNECTIONS", "4").args(["-x", "many"]).run();
    outcome.assert_failed(2);
    assert!(!outcome.stderr.contains("HAUL_CONNECTIONS"), "{outcome}");
    haul()
        .env("HAUL_CONECTIONS", "4")
        .run()
        .assert_ok()
        .assert_says("warning: haul knows no variable HAUL_CONECTIONS");
    let outcome = haul().env("HAUL_CONECTIONS", "4").arg("-q").run();
    assert_eq!(outcome.assert_ok().stderr, "");
}
