//! Digest authentication, and servers that ask for other schemes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use sha2::{Digest as _, Sha256};

use crate::support::proxy::Proxy;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(331, 4);
const SMALL: Payload = Payload::new(332, 100_000);
const REALM: &str = "files, \\\"all\\\"";

/// Behaviour of a server with Digest authentication (RFC 7616).
#[derive(Clone, Copy)]
struct Manner {
    /// Number of requests that a nonce is good for.
    lifetime: u32,
    /// True if the refusal of an old nonce is marked as stale.
    says_stale: bool,
    /// True if a refusal ends the connection.
    hangs_up: bool,
}

const USUAL: Manner = Manner { lifetime: u32::MAX, says_stale: true, hangs_up: false };

#[derive(Default)]
struct Seen {
    issued: u32,
    /// Highest request count received with each nonce.
    counts: HashMap<String, u32>,
    /// Request counts that did not rise.
    replays: u32,
    /// Requests with the password itself.
    told: u32,
    refused: u32,
    nonces: BTreeSet<String>,
}

/// Serves requests authenticated as `me` with the password `Circle of Life`.
struct Asking {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

impl Asking {
    fn start(payload: Payload, manner: Manner) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let kept = seen.clone();
        let server = Server::serve(payload)
            .behave(move |request, _| match judged(request, manner, &mut kept.lock().unwrap()) {
                Ok(()) => Reply::Normal,
                Err(refusal) => Reply::Answer(refusal),
            })
            .start();
        Self { server, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

fn judged(request: &Request, manner: Manner, seen: &mut Seen) -> Result<(), Answer> {
    let sent = request.header("authorization").unwrap_or_default();
    seen.told += u32::from(sent.starts_with("Basic"));
    let mut stale = false;
    if let Some(answer) = sent.strip_prefix("Digest ") {
        let (nonce, count) = (field(answer, "nonce"), field(answer, "nc"));
        let number = u32::from_str_radix(&count, 16).unwrap();
        let highest = seen.counts.entry(nonce.clone()).or_default();
        let rises = number > *highest;
        *highest = number.max(*highest);
        seen.replays += u32::from(!rises);
        let own = hash(&format!("me:{}:Circle of Life", REALM.replace('\\', "")));
        let what = hash(&format!("{}:{}", request.method, request.target));
        let cnonce = field(answer, "cnonce");
        let right = hash(&format!("{own}:{nonce}:{count}:{cnonce}:auth:{what}"));
        let is_right = field(answer, "response") == right && field(answer, "uri") == request.target;
        if is_right && rises && number <= manner.lifetime {
            seen.nonces.insert(nonce);
            return Ok(());
        }
        stale = is_right && manner.says_stale;
    }
    seen.refused += 1;
    seen.issued += 1;
    let mut answer = Answer::text(401, "who are you?");
    answer.add("WWW-Authenticate", "Negotiate");
    answer.add(
        "WWW-Authenticate",
        format!(
            "Digest realm=\"{REALM}\", nonce=\"n{}\", qop=\"auth\", algorithm=SHA-512-256-X",
            seen.issued
        ),
    );
    answer.add(
        "WWW-Authenticate",
        format!(
            "Digest realm=\"{REALM}\", nonce=\"n{}\", qop=\"auth\", algorithm=SHA-256, stale={stale}, Basic realm=\"x\"",
            seen.issued
        ),
    );
    if manner.hangs_up {
        answer.set("Connection", "close");
    }
    Err(answer)
}

fn field(answer: &str, name: &str) -> String {
    let answer = format!(" {answer}");
    let value = answer.split(&format!(" {name}=")).nth(1).unwrap_or_default();
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap().to_owned(),
        None => value.split(',').next().unwrap().to_owned(),
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

const ME: &str = "me:Circle of Life";
const FOUR: &[&str] = &["-x", "4", "-k", "256K"];

#[test]
fn digest_is_answered_on_every_connection_whatever_the_manner_of_the_server() {
    let table = [
        ("the usual", USUAL),
        ("nonces for three requests", Manner { lifetime: 3, ..USUAL }),
        ("nonces for one", Manner { lifetime: 1, ..USUAL }),
        ("for one, without a word", Manner { lifetime: 1, says_stale: false, ..USUAL }),
        ("a connection for each", Manner { hangs_up: true, ..USUAL }),
        ("both", Manner { lifetime: 1, says_stale: false, hangs_up: true }),
    ];
    for (what, manner) in table {
        let asking = Asking::start(PAYLOAD, manner);
        let sandbox = Sandbox::new();
        let outcome =
            sandbox.haul().args(FOUR).args(["-v", "-u", ME]).arg(asking.server.url("/a b.bin?x=%22y")).run();
        assert_eq!(outcome.code, Some(0), "{what}: {outcome}");
        PAYLOAD.assert_file_is(&sandbox.path("a b.bin"));
        assert!(!outcome.said().contains("Circle") && !outcome.said().contains("response="), "{outcome}");
        let seen = asking.seen();
        assert_eq!(seen.replays, 0, "{what}: a count came twice, or late");
        // The first request has it, and so has the parallel HEAD.
        assert!((1..=2).contains(&seen.told), "{what}: the password was told {} times", seen.told);
    }
}

#[test]
fn a_nonce_serves_as_long_as_its_connection() {
    let asking = Asking::start(PAYLOAD, USUAL);
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).args(["-u", ME]).arg(asking.server.url("/file.bin")).run().assert_ok();
    let connections = asking.server.connections();
    let seen = asking.seen();
    assert!(seen.nonces.len() <= connections && seen.refused as usize <= connections, "{}", seen.refused);
}

#[test]
fn a_list_tells_the_password_once() {
    let asking = Asking::start(SMALL, USUAL);
    let sandbox = Sandbox::new();
    let list: Vec<_> = (0..6).map(|number| asking.server.url(&format!("/{number}"))).collect();
    sandbox.write("list", list.join("\n"));
    sandbox.haul().args(["-j", "1", "-i", "list", "-u", ME]).run().assert_ok();
    for number in 0..6 {
        sandbox.assert_ok_file(&SMALL, &number.to_string());
    }
    let seen = asking.seen();
    assert!(seen.told <= 2 && seen.replays == 0, "{} {}", seen.told, seen.replays);
}

#[test]
fn a_wrong_password_is_told_after_one_answer() {
    let asking = Asking::start(PAYLOAD, USUAL);
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-u", "me:S3CR"]).arg(asking.server.url("/file.bin")).run();
    outcome.assert_failed(4).assert_says("Digest").assert_says("-u");
    assert!(!outcome.said().contains("S3CR"), "{outcome}");
    let refused = asking.seen().refused;
    assert!(refused <= 6, "{refused}");
    sandbox.assert_empty();
}

#[test]
fn what_is_asked_by_another_origin_is_not_answered() {
    let stranger = Asking::start(PAYLOAD, USUAL);
    let location = stranger.server.url("/file.bin");
    let server = Server::serve(PAYLOAD).behave(move |_, _| Reply::Redirect(302, location.clone())).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-u", ME]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(4);
    let requests = stranger.server.requests();
    assert!(!requests.is_empty() && requests.iter().all(|record| !record.has("authorization")));
}

#[test]
fn digest_follows_a_redirect_within_its_origin() {
    let asking = Asking::start(PAYLOAD, USUAL);
    let seen = asking.seen.clone();
    let server = Server::serve(PAYLOAD)
        .behave(move |request, _| match judged(request, USUAL, &mut seen.lock().unwrap()) {
            Ok(()) if request.path() == "/old.bin" => Reply::Redirect(302, "/new.bin".to_owned()),
            Ok(()) => Reply::Normal,
            Err(refusal) => Reply::Answer(refusal),
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).args(["-u", ME]).arg(server.url("/old.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "old.bin");
}

#[test]
fn digest_is_answered_through_a_proxy() {
    let asking = Asking::start(SMALL, USUAL);
    let proxy = Proxy::http(None);
    let sandbox = Sandbox::new();
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let haul = sandbox.haul().args(["--proxy", &url, "-u", ME]);
    haul.arg(asking.server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&SMALL, "file.bin");
}

#[test]
fn a_server_that_never_has_enough_is_left() {
    let server = Server::serve(SMALL)
        .behave(|request, _| {
            let mut answer = Answer::new(401);
            answer.add(
                "WWW-Authenticate",
                format!("Digest realm=\"x\", nonce=\"{}\", qop=\"auth\", stale=true", request.n),
            );
            Reply::Answer(answer)
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-u", ME]).arg(server.url("/file.bin")).run().assert_failed(4);
    assert!(server.requests().len() <= 12, "{}", server.requests().len());
}

#[test]
fn a_refusal_names_the_ways_in_which_the_server_wants_to_be_told() {
    let table = [
        ("Negotiate", "Negotiate", "-H 'Authorization"),
        ("NTLM, Negotiate", "NTLM or Negotiate", "-H 'Authorization"),
        ("Bearer realm=\"x\", scope=\"y\"", "Bearer", "--bearer-file"),
        ("Basic realm=\"x\"", "Basic", "-u"),
        ("Digest realm=\"x\", nonce=\"y\", qop=\"auth\", algorithm=UNHEARD-OF", "Digest", "-u"),
    ];
    for (challenge, named, hint) in table {
        let server = Server::serve(SMALL)
            .behave(move |_, _| {
                let mut answer = Answer::new(401);
                answer.add("WWW-Authenticate", challenge);
                Reply::Answer(answer)
            })
            .start();
        for login in [&[][..], &["-u", ME]] {
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().args(login).arg(server.url("/file.bin")).run();
            outcome.assert_failed(4).assert_says(named).assert_says(hint);
        }
    }
}
