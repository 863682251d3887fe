//! `haul info`: what it tells of a file, found out by asking.

use serde_json::Value;

use crate::resume::killed_after;
use crate::support::far::{Far, Manner};
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(271, 8);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

/// The event for a program.
#[track_caller]
fn plan(sandbox: &Sandbox, flags: &[&str], url: &str) -> Value {
    let outcome = sandbox.haul().args(["info", "--json"]).args(flags).arg(url).run();
    outcome.assert_ok();
    outcome.event("plan")
}

/// The lines for a person.
#[track_caller]
fn told(sandbox: &Sandbox, flags: &[&str], url: &str) -> Outcome {
    let outcome = sandbox.haul().arg("info").args(flags).arg(url).run();
    outcome.assert_ok();
    outcome
}

#[test]
fn each_redirect_is_told_and_no_signature() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/a" => Reply::Redirect(301, "/b".into()),
            "/b" => Reply::Redirect(302, "/c.bin?X-Amz-Signature=S3CR".into()),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let plan = plan(&sandbox, &[], &server.url("/a"));
    let hop = |status: u16, path: &str| serde_json::json!({ "status": status, "to": server.url(path) });
    assert_eq!(plan["redirects"], Value::from(vec![hop(301, "/b"), hop(302, "/c.bin?X-Amz-Signature=***")]));
    assert_eq!(plan["final_url"], server.url("/c.bin?X-Amz-Signature=***"));
    let told = told(&sandbox, &[], &server.url("/a"));
    told.assert_says("redirect     301 to").assert_says("redirect     302 to");
    assert!(!told.said().contains("S3CR"), "{told}");
}

#[test]
fn ranges_are_tried_in_the_middle_whatever_is_promised() {
    let first_bytes = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            if request.start() == 0 {
                return exchange.serve();
            }
            // The first byte for any range, and honest about it.
            let mut answer = exchange.answer();
            answer.set("Content-Range", format!("bytes 0-0/{}", PAYLOAD.len));
            answer.payload(PAYLOAD, 0..1);
            exchange.send(&answer);
        })
        .start();
    let whole = Server::serve(PAYLOAD)
        .behave(|request, _| if request.start() == 0 { Reply::Normal } else { Reply::Everything })
        .start();
    let sandbox = Sandbox::new();
    for server in [&first_bytes, &whole] {
        let plan = plan(&sandbox, &[], &server.url("/file.bin"));
        assert_eq!((&plan["ranges"], &plan["ranges_promised"]), (&false.into(), &true.into()), "{plan}");
        let told = told(&sandbox, &[], &server.url("/file.bin"));
        told.assert_says("ranges       no, although they are promised: one connection");
    }
    let honest = Server::serve(PAYLOAD).start();
    let plan = plan(&sandbox, &[], &honest.url("/file.bin"));
    assert_eq!(plan["ranges"], true);
    let asked: Vec<_> = honest.gets().iter().map(|get| get.start()).collect();
    assert_eq!(asked, [0, PAYLOAD.len / 2], "{}", honest.describe());
    assert_eq!(honest.connections(), 1, "all questions have one connection: {}", honest.describe());
}

#[test]
fn the_protocol_is_the_negotiated_one_and_http_2_is_found_where_it_is_offered() {
    let authority = Authority::new();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let trusting = ["--cacert", ca.to_str().unwrap()];
    for http2 in [true, false] {
        let manner = Manner { distance: std::time::Duration::ZERO, http2, ..Manner::default() };
        let server = Far::start(&authority.config(&["127.0.0.1"]), manner);
        let plan = plan(&sandbox, &trusting, &server.url(1));
        let found = (&plan["protocol"], &plan["tls"], &plan["http2"]);
        assert_eq!(found, (&"HTTP/1.1".into(), &"TLS 1.3".into(), &http2.into()), "{plan}");
        let words = if http2 { "; HTTP/2 is offered" } else { "; no HTTP/2" };
        told(&sandbox, &trusting, &server.url(1)).assert_says(&format!("HTTP/1.1 over TLS 1.3{words}"));
    }
    let plain = Server::serve(PAYLOAD).start();
    let plan = plan(&sandbox, &[], &plain.url("/file.bin"));
    assert!(plan["protocol"] == "HTTP/1.1" && plan["tls"].is_null() && plan["http2"].is_null(), "{plan}");
}

#[test]
fn what_an_earlier_run_left_is_told_with_its_part_its_share_and_its_age() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let kept = killed_after(&sandbox, &server, 4 * MIB, FOUR);
    server.recover();
    let plan = plan(&sandbox, &[], &server.url("/file.bin"));
    let left = &plan["left"];
    // More may have been saved between the last event and the kill.
    let durable = left["durable"].as_u64().unwrap();
    assert!((kept..PAYLOAD.len).contains(&durable) && left["size"] == PAYLOAD.len, "{plan}");
    assert!(left["part"].as_str().is_some_and(|part| part.ends_with("file.bin.part")), "{plan}");
    assert!(left["modified"].as_u64().is_some_and(|modified| modified > 1_700_000_000), "{plan}");
    let told = told(&sandbox, &[], &server.url("/file.bin"));
    told.assert_says(&format!("left         file.bin.part: {}%, ", durable * 100 / PAYLOAD.len));
    told.assert_says(" s ago (");
    let nothing = Sandbox::new();
    let plan = self::plan(&nothing, &[], &server.url("/file.bin"));
    assert!(plan["left"].is_null() && plan["kept"] == 0, "{plan}");
}

#[test]
fn a_remembered_host_has_a_likely_speed() {
    let payload = Payload::mib(272, 64);
    let server = Server::serve(payload).rate(2 * MIB).start();
    let sandbox = Sandbox::new();
    let before = plan(&sandbox, &[], &server.url("/file.bin"));
    assert!(before["remembered"].is_null(), "{before}");
    sandbox.haul().arg("--json").arg(server.url("/file.bin")).run().assert_ok();
    let after = plan(&sandbox, &[], &server.url("/again.bin"));
    let remembered = &after["remembered"];
    assert!(remembered["connections"].as_u64().is_some_and(|count| count > 2), "{after}");
    assert!(remembered["rate"].as_u64().is_some_and(|rate| rate > 2 * MIB), "{after}");
    told(&sandbox, &[], &server.url("/again.bin")).assert_says("likely speed").assert_says("for all of it");
    let without = plan(&sandbox, &["--no-memory"], &server.url("/again.bin"));
    assert!(without["remembered"].is_null(), "{without}");
}

#[test]
fn mirrors_are_asked_and_compared_by_flag_and_in_a_document() {
    let server = Server::serve(PAYLOAD).start();
    let other = Server::serve(Payload::mib(273, 2)).start();
    let gone = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    let digest = PAYLOAD.sha256_hex();
    let urls = [server.url("/file.bin"), server.url("/b.bin"), other.url("/c.bin"), gone.url("/d.bin")];
    let flags = ["--sha256", &digest, "--mirror", &urls[1], "--mirror", &urls[2], "--mirror", &urls[3]];
    let plan = plan(&sandbox, &flags, &urls[0]);
    let mirrors = plan["mirrors"].as_array().unwrap();
    let sizes: Vec<_> = mirrors.iter().map(|mirror| mirror["size"].as_u64()).collect();
    assert_eq!(sizes, [Some(PAYLOAD.len), Some(2 * MIB), None], "{plan}");
    assert!(mirrors[2]["problem"].as_str().is_some_and(|problem| problem.contains("404")), "{plan}");
    let by_flag = told(&sandbox, &flags, &urls[0]);

    let listed: String = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
    let document = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"file.bin\">\
         <hash type=\"sha-256\">{digest}</hash>{listed}</file></metalink>"
    );
    sandbox.write("d.meta4", document);
    let by_document = sandbox.haul().args(["info", "--metalink", "d.meta4"]).run();
    by_document.assert_ok();
    for outcome in [by_flag, by_document] {
        outcome.assert_says(&format!("mirror       {}: the same length", urls[1]));
        outcome.assert_says(&format!("mirror       {}: another file: {} bytes", urls[2], 2 * MIB));
        outcome
            .assert_says(&format!("mirror       {}: the server says there is no such file (404)", urls[3]));
    }
    sandbox.haul().arg("info").run().assert_failed(2);
}

#[test]
fn the_name_is_told_with_its_source() {
    let server = Server::serve(
        Resource::of(PAYLOAD).header("Content-Disposition", "attachment; filename=\"theirs.img\""),
    )
    .start();
    let sandbox = Sandbox::new();
    for (flags, from, name) in [
        (&[][..], "url", "file.bin"),
        (&["--content-disposition"], "server", "theirs.img"),
        (&["-o", "mine.img"], "request", "mine.img"),
    ] {
        let plan = plan(&sandbox, flags, &server.url("/file.bin"));
        assert_eq!(
            (&plan["name_from"], &plan["suggested_name"]),
            (&from.into(), &"theirs.img".into()),
            "{plan}"
        );
        assert!(plan["path"].as_str().is_some_and(|path| path.ends_with(name)), "{plan}");
    }
    let told = told(&sandbox, &[], &server.url("/file.bin"));
    told.assert_says("file.bin (name from the URL)").assert_says("their name   theirs.img");
}

#[test]
fn on_a_terminal_the_lines_are_aligned_within_its_width() {
    let there = std::process::Command::new("script").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        return crate::support::left_out("script is not installed");
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let run = "exec script -qec \"stty cols 40 rows 24; $0 $*\" /dev/null";
    let haul = sandbox.haul().env("TERM", "xterm").under(["/bin/sh", "-c", run]);
    let outcome = haul.args(["info", &server.url("/file.bin")]).run();
    let said = outcome.stdout_text();
    let lines: Vec<_> = said.lines().map(|line| line.trim_end_matches('\r')).collect();
    assert!(lines.iter().any(|line| line.starts_with("validator    \"v1\"")), "{outcome}");
    let aligned = |line: &str| line.is_empty() || line.starts_with("             ") || !line.starts_with(' ');
    assert!(lines.iter().all(|line| line.chars().count() <= 40 && aligned(line)), "{outcome}");
}
