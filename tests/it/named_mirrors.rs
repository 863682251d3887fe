//! Mirrors and documents that a server names in its answer (RFC 6249): used where a digest makes them safe, and not elsewhere.

use crate::mirrors::blamed;
use crate::proofs::base64_of;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(931, 16);
/// Of the same length.
const OTHER: Payload = Payload::mib(932, 16);
const RATE: u64 = 8 * MIB;

/// Servers over https, whose certificates one authority has made, and a place to download to.
struct Https {
    authority: Authority,
    sandbox: Sandbox,
}

impl Https {
    fn new() -> Self {
        Self { authority: Authority::new(), sandbox: Sandbox::new() }
    }

    fn of(&self, builder: server::Builder) -> server::Builder {
        builder.tls(self.authority.config(&["127.0.0.1"])).rate(RATE)
    }

    fn serve(&self, resource: impl Into<Resource>) -> Server {
        self.of(Server::serve(resource)).start()
    }

    fn haul(&self) -> Haul {
        self.haul_over(4).args(["--json", "-v"])
    }

    /// With so many connections.
    fn haul_over(&self, connections: usize) -> Haul {
        let ca = self.authority.write_to(&self.sandbox);
        self.sandbox.haul().args(["-k", "1M", "-x", &connections.to_string()]).arg("--cacert").arg(ca)
    }

    /// Fetches `/file.bin` with these flags besides.
    fn fetch(&self, server: &Server, flags: &[&str]) -> Outcome {
        self.haul().args(flags).arg(server.url("/file.bin")).run()
    }
}

fn repr_digest(payload: Payload) -> String {
    format!("sha-256=:{}:", base64_of(payload))
}

fn link(url: &str, more: &str) -> String {
    format!("<{url}>; rel=duplicate{more}")
}

/// The payload, with its digest and these links.
fn stating(digest_of: Payload, links: &str) -> Resource {
    Resource::of(PAYLOAD).header("Repr-Digest", &repr_digest(digest_of)).header("Link", links)
}

/// URLs of the sources of which an event tells this state, in order.
fn sources(outcome: &Outcome, state: &str) -> Vec<String> {
    let events = outcome.events_named("source").into_iter().filter(|event| event["state"] == state);
    events.map(|event| event["url"].as_str().unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn assert_notice(outcome: &Outcome, kind: &str, text: &str) {
    let is_it = |event: &serde_json::Value| {
        event["kind"] == kind && event["message"].as_str().is_some_and(|message| message.contains(text))
    };
    assert!(outcome.events_named("notice").iter().any(is_it), "no {kind} that says {text:?}: {outcome}");
}

#[test]
fn mirrors_that_a_server_names_over_https_with_its_digest_help() {
    let https = Https::new();
    let mirror = https.serve(Resource::of(PAYLOAD).etag("\"another\""));
    let server = https.serve(stating(PAYLOAD, &link(&mirror.url("/copy"), "; pri=1; geo=de")));
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok();
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(mirror.body_bytes() >= 2 * MIB, "{}", mirror.describe());
    assert!(server.body_bytes() + mirror.body_bytes() <= PAYLOAD.len + 2 * MIB);
    assert_eq!(sources(&outcome, "added"), [mirror.url("/copy")]);
    let done = outcome.done_event();
    assert_eq!(done["sources"].as_array().map(Vec::len), Some(2), "{outcome}");
    let proof = &done["proofs"][0];
    assert_eq!((&proof["name"], &proof["weak"]), (&"Repr-Digest".into(), &false.into()), "{outcome}");
    outcome.assert_says(&format!("{} is asked as well", mirror.url("/copy")));
}

#[test]
fn without_a_digest_that_makes_them_safe_no_mirror_is_asked() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let links = link(&mirror.url("/copy"), "");
    let stated = stating(PAYLOAD, &links);
    let bare = Resource::of(PAYLOAD).header("Link", &links);
    let http = Server::serve(stated.clone()).start();
    let elsewhere = https.serve(stated.clone());
    let target = elsewhere.url("/file.bin");
    let redirecting =
        https.of(Server::serve(PAYLOAD).behave(move |_, _| Reply::Redirect(302, target.clone()))).start();
    let md5 = format!("md5:{}", "0".repeat(32));
    let weak = https.serve(bare.clone().header("X-Checksum-MD5", &payload_md5()));
    let table = [
        (&http, vec![], Some("only a digest makes them safe")),
        (&https.serve(bare), vec![], Some("only a digest makes them safe")),
        (&weak, vec![], Some("only a digest makes them safe")),
        (&redirecting, vec![], Some("only a digest makes them safe")),
        (&https.serve(stated.clone()), vec!["--checksum", &md5], Some("finds damage, and no forgery")),
        (&https.serve(stated.clone().no_validator()), vec![], Some("everything comes in one response")),
        (&https.serve(stated), vec!["--no-find-mirrors"], None),
    ];
    for (server, flags, why) in table {
        let outcome = https.fetch(server, &flags);
        match flags.first() {
            // It is not the digest of the file.
            Some(&"--checksum") => assert_eq!(outcome.code, Some(12), "{outcome}"),
            _ => {
                outcome.assert_ok();
                https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            }
        }
        match why {
            Some(why) => assert_notice(&outcome, "mirrors", why),
            None => assert!(!outcome.said().contains("mirror"), "{outcome}"),
        }
        assert!(mirror.requests().is_empty(), "{why:?}: {}", mirror.describe());
        for name in ["file.bin", "file.bin.part", "file.bin.haul"] {
            let _ = std::fs::remove_file(https.sandbox.path(name));
        }
    }
}

fn payload_md5() -> String {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut path, &PAYLOAD.all()).unwrap();
    ::haul::digests_of(path.path(), &[::haul::Algorithm::Md5]).unwrap()[0].to_hex()
}

#[test]
fn http_follows_https_only_on_the_users_own_digest() {
    let https = Https::new();
    let mirror = Server::serve(PAYLOAD).rate(RATE).start();
    let server = https.serve(stating(PAYLOAD, &link(&mirror.url("/copy"), "")));
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok().assert_says("is not asked: it is on http");
    assert_eq!(sources(&outcome, "refused"), [mirror.url("/copy")]);
    assert!(mirror.requests().is_empty());
    std::fs::remove_file(https.sandbox.path("file.bin")).unwrap();
    let outcome = https.fetch(&server, &["--sha256", &PAYLOAD.sha256_hex()]);
    outcome.assert_ok();
    assert_eq!(sources(&outcome, "added"), [mirror.url("/copy")]);
    assert!(mirror.body_bytes() > 0, "{}", mirror.describe());
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn with_a_digest_of_the_user_a_server_on_http_may_name_mirrors_too() {
    let mirror = Server::serve(PAYLOAD).rate(RATE).start();
    let links = link(&mirror.url("/copy"), "");
    let server = Server::serve(Resource::of(PAYLOAD).header("Link", &links)).rate(RATE).start();
    let sandbox = Sandbox::new();
    let list = format!("{}  file.bin\n", PAYLOAD.sha256_hex());
    sandbox.write("SUMS", list);
    for flags in [["--sha256", &PAYLOAD.sha256_hex()], ["--checksum-file", "SUMS"]] {
        mirror.forget();
        let haul = sandbox.haul().args(["--json", "-x", "4", "-k", "1M"]).args(flags);
        let outcome = haul.arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(mirror.body_bytes() > 0, "{}", mirror.describe());
        std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    }
}

#[test]
fn the_preferred_one_is_asked_first_and_then_the_one_of_the_smallest_number() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let named = |path: &str, more: &str| link(&mirror.url(path), more);
    let links = [
        named("/last", ""),
        named("/second", "; pri=2"),
        named("/third", "; pri=30"),
        named("/first", "; pri=99; pref"),
    ];
    let server = https.serve(stating(PAYLOAD, &links.join(", ")));
    let outcome = https.haul_over(2).arg("--json").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    let order = ["/first", "/second", "/third", "/last"].map(|path| mirror.url(path));
    assert_eq!(sources(&outcome, "added"), order);
    // Each of two connections has a source of its own.
    assert!(mirror.gets().iter().all(|get| get.path() == "/first"), "{}", mirror.describe());
    assert!(!mirror.gets().is_empty());
}

#[test]
fn a_reference_is_taken_from_the_url_that_answered_and_of_many_a_few_are_asked() {
    let https = Https::new();
    let server = https.serve(PAYLOAD);
    let many: Vec<_> = (0..20).map(|number| link(&format!("../m{number}/f"), "")).collect();
    let links = [link(&server.url("/file.bin"), ""), link("/m0/f", ""), many.join(", ")].join(", ");
    server.replace(stating(PAYLOAD, &links));
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok();
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let expected: Vec<_> = (0..16).map(|number| server.url(&format!("/m{number}/f"))).collect();
    assert_eq!(sources(&outcome, "added"), expected);
    assert_notice(&outcome, "mirrors", "4 more mirrors are not asked");
}

#[test]
fn a_mirror_hears_of_no_secret_of_the_url() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let server = https.serve(stating(PAYLOAD, &link(&mirror.url("/copy"), "")));
    https.sandbox.write("cookies", "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tS3CR\n");
    let outcome = https.fetch(&server, &["-u", "me:S3CR", "-H", "X-Key: S3CR", "-b", "cookies"]);
    outcome.assert_ok();
    assert!(!mirror.gets().is_empty() && !outcome.said().contains("S3CR"), "{outcome}");
    for get in mirror.requests() {
        let hears = ["authorization", "cookie", "x-key"].iter().any(|field| get.has(field));
        assert!(!hears && !get.contains("S3CR"), "{}", mirror.describe());
    }
    assert!(server.gets().iter().all(|get| get.has("x-key") && get.has("cookie")));
}

#[test]
fn a_mirror_that_holds_another_file_is_dropped_by_name_and_leaves_no_byte() {
    let longer = Payload::new(931, PAYLOAD.len + 1);
    for other in [longer, OTHER] {
        let https = Https::new();
        let bad = https.serve(Resource::of(other).etag("\"other\""));
        let good = https.serve(PAYLOAD);
        let links = [link(&bad.url("/copy"), "; pri=1"), link(&good.url("/copy"), "; pri=2")].join(", ");
        let server = https.serve(stating(PAYLOAD, &links));
        let outcome = https.fetch(&server, &[]);
        outcome.assert_ok();
        https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert_eq!(blamed(&outcome, &[&server, &bad, &good]), [1], "{outcome}");
    }
}

#[test]
fn the_digest_that_a_server_states_wrongly_is_named_although_there_are_mirrors() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let server = https.serve(stating(OTHER, &link(&mirror.url("/copy"), "")));
    let outcome = https.fetch(&server, &[]);
    outcome.assert_failed(12).assert_says("the server states").assert_says("Repr-Digest");
    https.sandbox.assert_absent("file.bin");
    assert!(server.body_bytes() + mirror.body_bytes() <= 3 * PAYLOAD.len + 2 * MIB);
}

#[test]
fn neither_for_a_small_file_nor_for_a_pipe_is_a_mirror_asked() {
    let small = Payload::new(933, 9000);
    let https = Https::new();
    let mirror = https.serve(small);
    let links = link(&mirror.url("/copy"), "");
    let server =
        https.serve(Resource::of(small).header("Repr-Digest", &repr_digest(small)).header("Link", &links));
    https.fetch(&server, &["--sha256", &small.sha256_hex()]).assert_ok();
    https.sandbox.assert_ok_file(&small, "file.bin");
    let server = https.serve(stating(PAYLOAD, &links));
    let outcome = https.haul_over(4).args(["-v", "-o", "-"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok().assert_says("could not be taken back");
    PAYLOAD.assert_is(&outcome.stdout);
    assert!(mirror.requests().is_empty());
}

// Servers of mirrors state everything in a redirect to one of them.
#[test]
fn a_redirect_names_mirrors_of_the_file_that_it_leads_to_and_its_digest() {
    for (stated, code) in [(PAYLOAD, 0), (OTHER, 12)] {
        let https = Https::new();
        let (first, second) = (https.serve(PAYLOAD), https.serve(PAYLOAD));
        let (target, links) = (first.url("/pub/file.bin"), link(&second.url("/copy"), "; pri=1; geo=de"));
        let digest = format!("MD5=x, SHA-256={}", base64_of(stated));
        let hub = https.of(Server::serve(PAYLOAD).handler(move |_, exchange| {
            let fields =
                [("Location", &target[..]), ("Link", &links), ("Digest", &digest), ("Content-Length", "0")];
            exchange.send_head(302, &fields);
        }));
        let hub = hub.start();
        let outcome = https.fetch(&hub, &[]);
        assert_eq!(outcome.code, Some(code), "{outcome}");
        assert_eq!(sources(&outcome, "added"), [second.url("/copy")], "{outcome}");
        assert!(second.body_bytes() > 0, "{}", second.describe());
        match code {
            0 => assert_eq!(outcome.done_event()["proofs"][0]["name"], "Digest", "{outcome}"),
            _ => {
                outcome.assert_says("(Digest)");
            }
        }
    }
}

#[test]
fn mirrors_of_a_redirect_help_where_its_target_is_dead_or_lies() {
    let https = Https::new();
    let dead = https.serve(PAYLOAD);
    let gone = dead.url("/file.bin");
    drop(dead);
    let missing = https.of(Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404))).start();
    let liar = https.serve(stating(OTHER, "</>; rel=canonical"));
    for target in [gone, missing.url("/file.bin"), liar.url("/file.bin")] {
        let mirror = https.serve(Resource::of(PAYLOAD).etag("\"another\""));
        let (links, digest) = (link(&mirror.url("/copy"), "; pri=1"), repr_digest(PAYLOAD));
        let hub = https.of(Server::serve(PAYLOAD).handler({
            let target = target.clone();
            move |_, exchange| {
                let fields = [
                    ("Location", &target[..]),
                    ("Link", &links),
                    ("Repr-Digest", &digest),
                    ("Content-Length", "0"),
                ];
                exchange.send_head(302, &fields);
            }
        }));
        let outcome = https.fetch(&hub.start(), &["--if-exists", "overwrite"]);
        outcome.assert_ok();
        https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert_eq!(sources(&outcome, "added"), [mirror.url("/copy")], "{target}: {outcome}");
        assert_eq!(outcome.done_event()["proofs"][0]["weak"], false, "{outcome}");
    }
}

#[test]
fn a_redirect_that_proves_nothing_leaves_the_statement_to_the_response_after_a_failure() {
    let https = Https::new();
    let resource = Resource::of(PAYLOAD).header("Repr-Digest", &repr_digest(PAYLOAD));
    let store = https.of(Server::serve(resource).behave(|_, number| match number {
        0 => Reply::Status(503),
        _ => Reply::Normal,
    }));
    let store = store.start();
    let (target, links) = (store.url("/file.bin"), link("https://elsewhere.example/copy", ""));
    let hub = https.of(Server::serve(PAYLOAD).handler(move |_, exchange| {
        let fields = [("Location", &target[..]), ("Link", &links), ("Content-Length", "0")];
        exchange.send_head(302, &fields);
    }));
    let outcome = https.fetch(&hub.start(), &[]);
    outcome.assert_ok();
    assert_eq!(outcome.done_event()["proofs"][0]["name"], "Repr-Digest", "{outcome}");
}

#[test]
fn a_digest_in_a_redirect_that_names_nothing_is_not_that_of_the_file() {
    let store = Server::serve(PAYLOAD).start();
    let target = store.url("/file.bin");
    let digest = format!("SHA-256={}", base64_of(OTHER));
    let hub = Server::serve(PAYLOAD).handler(move |_, exchange| {
        exchange.send_head(
            302,
            &[
                ("Location", &target),
                ("Digest", &digest),
                ("Link", "</>; rel=canonical"),
                ("Content-Length", "0"),
            ],
        );
    });
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(hub.start().url("/file.bin")).run();
    outcome.assert_ok().assert_says("no published digest");
}

// ---- the next run ------------------------------------------------------------------------------------

#[test]
fn a_later_run_expects_the_digest_although_the_server_states_none_any_more() {
    let https = Https::new();
    let mirror = https.serve(Resource::of(OTHER).etag("\"other\""));
    let stated = stating(PAYLOAD, &link(&mirror.url("/copy"), ""));
    let mut silent = stated.clone();
    silent.headers.clear();
    let server = https.serve(stated);
    // Nothing but the mirror gives the second half.
    let gate = Gate::at_offset(PAYLOAD.len / 2);
    server.set_gate(Some(&gate));
    let end = Gate::at_offset(PAYLOAD.len - 1);
    mirror.set_gate(Some(&end));
    let running = https.haul().arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(12 * MIB);
    running.kill();
    let given = mirror.body_bytes();
    assert!(given > 0, "{}", mirror.describe());
    for other in [&server, &mirror] {
        other.recover();
        other.forget();
    }
    server.replace(silent);
    let outcome = https.fetch(&server, &[]);
    outcome.assert_failed(12).assert_says("an earlier run has recorded");
    https.sandbox.assert_absent("file.bin");
    assert!(mirror.requests().is_empty(), "{}", mirror.describe());
    // What was refused is not gone on with.
    https.fetch(&server, &[]).assert_ok();
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_later_run_goes_on_with_the_mirrors_that_are_named_again() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let server = https.serve(stating(PAYLOAD, &link(&mirror.url("/copy"), "")));
    let gate = Gate::after(4 * MIB);
    for source in [&server, &mirror] {
        source.set_gate(Some(&gate));
    }
    let running = https.haul().arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(2 * MIB);
    running.kill();
    let manifest = std::fs::read_to_string(https.sandbox.path("file.bin.haul")).unwrap();
    assert!(
        manifest.contains(&PAYLOAD.sha256_hex()) && manifest.contains(&mirror.url("/copy")),
        "{manifest}"
    );
    for source in [&server, &mirror] {
        source.recover();
        source.forget();
    }
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok();
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(outcome.start_event()["resumed"].as_u64().unwrap() >= 2 * MIB, "{outcome}");
    assert_eq!(sources(&outcome, "added"), [mirror.url("/copy")], "{outcome}");
    assert!(mirror.body_bytes() > 0 && server.body_bytes() + mirror.body_bytes() <= PAYLOAD.len - MIB);
    assert_eq!(outcome.done_event()["proofs"][0]["name"], "Repr-Digest", "{outcome}");
}

#[test]
fn what_another_run_began_without_mirrors_is_ended_without_them() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let server = https.serve(stating(PAYLOAD, &link(&mirror.url("/copy"), "")));
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let running = https.haul().args(["--no-find-mirrors"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(2 * MIB);
    running.kill();
    server.recover();
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok();
    assert_notice(&outcome, "mirrors", "an earlier run began the file without them");
    assert!(mirror.requests().is_empty());
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn mirrors_of_a_version_that_is_gone_are_not_asked_for_the_next_one() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let server = https.serve(stating(PAYLOAD, &link(&mirror.url("/copy"), "")));
    let gate = Gate::after(4 * MIB);
    for source in [&server, &mirror] {
        source.set_gate(Some(&gate));
    }
    let running = https.haul().arg(server.url("/file.bin")).spawn();
    // Before any source has been silent for long.
    gate.wait_for_waiting(4);
    // Another length: the digest of the old version says nothing for it, and nothing shows that the mirror has the same.
    let next = Payload::new(934, PAYLOAD.len + 5);
    mirror.replace(Payload::new(935, next.len));
    server.replace(Resource::of(next).etag("\"v2\""));
    for source in [&server, &mirror] {
        source.set_gate(None);
        source.forget();
    }
    server.hang_up();
    let outcome = running.wait();
    outcome.assert_ok();
    https.sandbox.assert_ok_file(&next, "file.bin");
    // Only those for the old version, of which the mirror had answered before.
    assert!(mirror.requests().iter().all(|request| request.has("if-range")), "{}", mirror.describe());
    assert_eq!(outcome.done_event()["proofs"].as_array().map(Vec::len), Some(0), "{outcome}");
}

// ---- documents ---------------------------------------------------------------------------------------

const DESCRIBED: &str = "</file.meta4>; rel=describedby; type=\"application/metalink4+xml\"";

/// Document of a payload as `haul pieces` writes it, with these sources.
fn described(payload: Payload, urls: &[String]) -> String {
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", payload.all());
    let urls = urls.iter().flat_map(|url| ["--url", url]);
    let outcome = sandbox.haul().args(["pieces", "file.bin"]).args(urls).run();
    outcome.assert_ok();
    outcome.stdout_text()
}

/// Serves a document beside the file.
fn with_document(builder: server::Builder, document: impl Into<Option<String>>) -> server::Builder {
    let document = document.into();
    builder.handler(move |request, exchange| match (request.path(), &document) {
        ("/file.meta4", Some(text)) => exchange.send(&Answer::text(200, text)),
        ("/file.meta4", None) => exchange.status(404),
        _ => exchange.serve(),
    })
}

#[test]
fn a_lying_mirror_is_found_by_the_pieces_of_the_document_that_the_server_names() {
    let https = Https::new();
    let liar = https.serve(Resource::of(OTHER).etag("\"other\""));
    let honest = https.serve(PAYLOAD);
    let named = [link(&liar.url("/copy"), "; pri=1"), link(&honest.url("/copy"), "; pri=2")];
    let resource = stating(PAYLOAD, &[DESCRIBED, &named[0], &named[1]].join(", "));
    let document = described(PAYLOAD, &[]);
    let length = document.len() as u64;
    let server = https.of(with_document(Server::serve(resource), document)).start();
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok().assert_says("the digests of pieces show wrong bytes");
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_notice(&outcome, "document", "states the digests of 16 pieces");
    assert_eq!(blamed(&outcome, &[&server, &liar, &honest]), [1], "{outcome}");
    // A piece that two sources gave parts of comes again as a whole.
    let honest = server.body_bytes() + honest.body_bytes() - length;
    assert!(honest <= PAYLOAD.len + 5 * MIB, "{honest} bytes of honest ones: {outcome}");
}

#[test]
fn the_sources_of_a_document_that_agrees_are_asked_too() {
    let https = Https::new();
    let mirror = https.serve(PAYLOAD);
    let document = described(PAYLOAD, &[mirror.url("/copy"), "http://127.0.0.1:9/insecure".to_owned()]);
    let gate = Gate::at_offset(2 * MIB);
    let server =
        https.of(with_document(Server::serve(stating(PAYLOAD, DESCRIBED)), document)).gate(&gate).start();
    let running = https.haul().arg(server.url("/file.bin")).spawn();
    running.wait_for_event("that the mirror is added", |event| {
        event["event"] == "source" && event["state"] == "added" && event["url"] == mirror.url("/copy")
    });
    mirror.wait_for_body_bytes(MIB);
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(sources(&outcome, "refused"), ["http://127.0.0.1:9/insecure"], "{outcome}");
}

#[test]
fn a_document_that_contradicts_the_server_fails_and_is_named_and_the_users_digest_wins() {
    let https = Https::new();
    let document = described(OTHER, &[]);
    let server = https.of(with_document(Server::serve(stating(PAYLOAD, DESCRIBED)), document)).start();
    let outcome = https.fetch(&server, &[]);
    outcome.assert_failed(12).assert_says(&server.url("/file.meta4")).assert_says(&OTHER.sha256_hex());
    https.sandbox.assert_absent("file.bin");
    let outcome = https.fetch(&server, &["--sha256", &PAYLOAD.sha256_hex(), "--restart"]);
    outcome.assert_ok();
    https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_document_that_is_of_no_use_changes_nothing() {
    let md5 =
        format!("<metalink><file name=\"f\"><hash type=\"md5\">{}</hash></file></metalink>", "0".repeat(32));
    for (document, why) in [
        (None, "the server answered 404"),
        (Some("nonsense".to_owned()), "not a Metalink document"),
        (Some(md5), "no strong digest that can be compared"),
        (Some("x".repeat((8 << 20) + 1)), "more than 8388608 bytes"),
    ] {
        let https = Https::new();
        let server = https.of(with_document(Server::serve(stating(PAYLOAD, DESCRIBED)), document)).start();
        let outcome = https.fetch(&server, &[]);
        outcome.assert_ok();
        https.sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert_notice(&outcome, "document", why);
    }
}

#[test]
fn no_document_is_fetched_where_nothing_makes_it_safe() {
    let asked = |server: &Server| server.requests().iter().any(|request| request.path() == "/file.meta4");
    let http = with_document(Server::serve(stating(PAYLOAD, DESCRIBED)), described(OTHER, &[])).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(http.url("/file.bin")).run().assert_ok();
    assert!(!asked(&http), "{}", http.describe());
    let https = Https::new();
    let elsewhere = DESCRIBED.replace("</", &format!("<{}", http.url("/")));
    let server = https.serve(stating(PAYLOAD, &elsewhere));
    let outcome = https.fetch(&server, &[]);
    outcome.assert_ok();
    assert_notice(&outcome, "document", "it is on http");
    assert!(!asked(&http), "{}", http.describe());
}

#[test]
fn info_names_the_mirrors_in_their_order() {
    let server = Server::serve(PAYLOAD).start();
    let links = [link("http://b.example/f", "; pri=2"), link("/f", "; pri=1"), link("ftp://c.example/f", "")];
    server.replace(Resource::of(PAYLOAD).header("Link", &links.join(", ")));
    let outcome = Sandbox::new().haul().args(["info", "--json"]).arg(server.url("/file.bin")).run();
    let plan: serde_json::Value = serde_json::from_str(outcome.stdout_text().trim()).unwrap();
    assert_eq!(
        plan["named_mirrors"],
        serde_json::json!([server.url("/f"), "http://b.example/f"]),
        "{outcome}"
    );
    let outcome = Sandbox::new().haul().arg("info").arg(server.url("/file.bin")).run();
    outcome.assert_says(&format!("mirror       {}", server.url("/f")));
}
