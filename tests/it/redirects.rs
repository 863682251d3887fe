//! Redirects: permitted targets, and the secrets that may follow them.

use std::net::TcpListener;

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(131, 4);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

type Answerer = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

fn redirecting_to(status: u16, location: &str) -> Server {
    let location = location.to_owned();
    Server::serve(PAYLOAD).behave(move |_, _| Reply::Redirect(status, location.clone())).start()
}

#[track_caller]
fn assert_never_seen(server: &Server, secrets: &[&str]) {
    for record in server.requests() {
        for secret in secrets {
            assert!(!record.contains(secret), "{secret} went to {}: {}", server.origin(), record.target);
        }
    }
}

#[test]
fn every_kind_of_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let target = Server::serve(PAYLOAD).start();
        let origin = redirecting_to(status, &target.url("/real"));
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).arg(origin.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(target.requests().iter().all(|record| ["GET", "HEAD"].contains(&record.method.as_str())));
    }
}

// T061
#[test]
fn ten_redirects_are_followed_and_the_fragment_stays_at_home() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path().trim_start_matches("/dir/").parse::<u32>() {
            Ok(0) => Reply::Normal,
            Ok(1) => Reply::Redirect(302, "0#fragment".into()),
            Ok(n) => Reply::Redirect(302, format!("./x/../{}", n - 1)),
            Err(_) => Reply::Status(404),
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(FOUR).args(["-o", "file.bin"]).arg(server.url("/dir/10#mine")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(server.requests().iter().all(|record| !record.target.contains('#')));
}

// T061
#[test]
fn a_redirect_that_leads_nowhere_is_an_http_failure() {
    let table: Vec<Answerer> = vec![
        Box::new(|_| Reply::Redirect(302, "/file.bin".into())),
        Box::new(|request| {
            Reply::Redirect(302, if request.path() == "/a" { "/b".into() } else { "/a".into() })
        }),
        Box::new(|request| Reply::Redirect(302, format!("{}x", request.target))),
        Box::new(|_| Reply::Status(302)),
        Box::new(|_| Reply::Redirect(302, String::new())),
        Box::new(|_| Reply::Redirect(302, format!("/{}", "y".repeat(100_000)))),
        Box::new(|_| Reply::Redirect(302, "http://[::1/".into())),
        Box::new(|_| Reply::Redirect(302, "http://".into())),
    ];
    for reply in table {
        let server = Server::serve(PAYLOAD).behave(move |request, _| reply(request)).start();
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed_as_one_of(&[5, 13]);
        sandbox.assert_empty();
        assert!(server.gets().len() <= 11 && server.heads().len() <= 2, "{}", server.describe());
    }
}

#[test]
fn a_location_with_spaces_and_bytes_beyond_ascii_is_percent_encoded() {
    for (location, target) in [
        (&b"/files/Licensing Toolkit.dmg?for=a b"[..], "/files/Licensing%20Toolkit.dmg?for=a%20b"),
        (b"caf\xe9.bin?q=\xe8", "/caf%E9.bin?q=%E8"),
        ("/café.bin".as_bytes(), "/caf%C3%A9.bin"),
    ] {
        let redirect =
            [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", location, b"\r\n\r\n"].concat();
        let server = Server::serve(PAYLOAD)
            .behave(move |request, _| match request.path() {
                "/latest" => Reply::Raw(redirect.clone()),
                _ => Reply::Normal,
            })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).args(["-o", "file.bin"]).arg(server.url("/latest")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        let targets =
            server.gets().into_iter().map(|get| get.target.clone()).filter(|asked| asked != "/latest");
        let targets: std::collections::BTreeSet<_> = targets.collect();
        assert_eq!(targets.into_iter().collect::<Vec<_>>(), [target]);
    }
}

#[test]
fn a_url_of_the_user_with_spaces_and_bytes_beyond_ascii_is_percent_encoded() {
    use std::os::unix::ffi::OsStringExt as _;
    for (path, target) in [
        (&b"/a b.bin?c d"[..], "/a%20b.bin?c%20d"),
        (b"/caf\xe9.bin", "/caf%E9.bin"),
        ("/café.bin".as_bytes(), "/caf%C3%A9.bin"),
    ] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let url = std::ffi::OsString::from_vec([server.origin().as_bytes(), path].concat());
        sandbox.haul().args(["-o", "file.bin"]).arg(url).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(server.requests().iter().all(|request| request.target == target), "{}", server.describe());
    }
    let sandbox = Sandbox::new();
    for refused in ["http://127.0.0.1:1/a\tb", "http://127.0.0.1:1/a\nb", "http://a b/"] {
        sandbox.haul().arg(refused).run().assert_failed(2);
    }
}

#[test]
fn the_number_of_redirects_is_a_flag() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/file.bin" => Reply::Redirect(302, "/two".into()),
            "/two" => Reply::Redirect(302, "/three".into()),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().args(["--max-redirs", "1"]).arg(server.url("/file.bin")).run().assert_failed(5);
    sandbox.haul().args(["--max-redirs", "2"]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

// T055, T056
#[test]
fn secrets_for_one_origin_never_reach_another() {
    for status in [301, 302, 303, 307, 308] {
        let other = Server::serve(PAYLOAD).start();
        let origin = redirecting_to(status, &other.url("/real"));
        let sandbox = Sandbox::new();
        let with_user = origin.url("/file.bin").replace("http://", "http://user:S3CR1@");
        let outcome = sandbox
            .haul()
            .args([
                "-vvv",
                "-H",
                "X-Api-Key: S3CR2",
                "-H",
                "Cookie: session=S3CR3",
                "-H",
                "Accept: application/zip",
            ])
            .args(["-A", "my-agent/1", "-o", "file.bin"])
            .arg(with_user)
            .run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        let basic = "dXNlcjpTM0NSMQ==";
        assert_never_seen(&other, &["S3CR", basic, "Authorization", "authorization", "Cookie", "cookie"]);
        assert!(other.requests().iter().all(|record| record.header("user-agent") == Some("my-agent/1")));
        for record in origin.requests() {
            assert!(
                record.header("authorization").is_some_and(|value| value.contains(basic)),
                "{}",
                origin.describe()
            );
            assert_eq!(record.header("x-api-key"), Some("S3CR2"));
            assert_eq!(record.header("cookie"), Some("session=S3CR3"));
        }
        assert!(!outcome.said().contains("S3CR") && !outcome.said().contains(basic), "{outcome}");
    }
}

#[test]
fn a_secret_stays_when_the_origin_stays() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            _ if request.header("authorization") != Some("Bearer S3CR") => Reply::Status(401),
            "/file.bin" => Reply::Redirect(302, "/real".into()),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let token = sandbox.root().join("token");
    std::fs::write(&token, "S3CR\n").unwrap();
    let outcome =
        sandbox.haul().args(FOUR).arg("--bearer-file").arg(token).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_redirect_back_home_does_not_bring_the_secret_into_strange_hands() {
    let other = Server::serve(PAYLOAD).start();
    let origin = Server::serve(PAYLOAD).start();
    let (to_origin, to_other) = (origin.url("/back"), other.url("/real"));
    other.behave_with(move |request, _| match request.path() {
        "/real" => Reply::Redirect(302, to_origin.clone()),
        _ => Reply::Normal,
    });
    origin.behave_with(move |request, _| match request.path() {
        "/file.bin" => Reply::Redirect(302, to_other.clone()),
        _ => Reply::Normal,
    });
    let sandbox = Sandbox::new();
    sandbox.haul().args(["-H", "X-Api-Key: S3CR"]).arg(origin.url("/file.bin")).run().assert_ok();
    assert_never_seen(&other, &["S3CR"]);
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

// T063
#[test]
fn a_password_in_the_url_is_written_nowhere() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin").replace("http://", "http://user:S3CR@");
    let running = sandbox.haul().args(["--json", "-vvv"]).arg(&url).spawn();
    running.wait_for_durable(MIB);
    let manifest = String::from_utf8_lossy(&sandbox.read("file.bin.haul")).into_owned();
    assert!(!manifest.contains("S3CR") && !manifest.contains("dXNlcjpTM0NS"), "{manifest}");
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    assert!(!outcome.said().contains("S3CR") && !outcome.said().contains("dXNlcjpTM0NS"), "{outcome}");
    assert!(
        server.requests().iter().all(|record| record.header("authorization") == Some("Basic dXNlcjpTM0NS"))
    );
    assert_eq!(sandbox.entries(), ["file.bin"]);
    let mut seal = [0; 4096];
    // Not every file system has extended attributes; if there are any, the URL is among them.
    if let Ok(length) = rustix::fs::lgetxattr(sandbox.path("file.bin"), "user.haul", &mut seal) {
        let seal = String::from_utf8_lossy(&seal[..length]).into_owned();
        assert!(
            seal.contains("/file.bin") && !seal.contains("S3CR") && !seal.contains("dXNlcjpTM0NS"),
            "{seal}"
        );
    }
}

#[test]
fn a_signature_in_the_url_is_not_shown_and_not_stored() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let query = "X-Amz-Signature=S3CR&X-Amz-Credential=S3CR4&sig=S3CR5&token=S3CR6";
    let running =
        sandbox.haul().args(["--json", "-vvv"]).arg(server.url(&format!("/file.bin?{query}"))).spawn();
    running.wait_for_durable(MIB);
    let manifest = String::from_utf8_lossy(&sandbox.read("file.bin.haul")).into_owned();
    assert!(!manifest.contains("S3CR"), "{manifest}");
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    assert!(!outcome.said().contains("S3CR"), "{outcome}");
    assert!(server.requests().iter().all(|record| record.target.contains(query)), "{}", server.describe());
}

// T059
#[test]
fn a_step_down_from_https_to_http_is_refused_without_a_connection() {
    let authority = Authority::new();
    let plain = Server::serve(PAYLOAD).start();
    let to = plain.url("/real");
    let origin = Server::serve(PAYLOAD)
        .tls(authority.config(&["127.0.0.1"]))
        .behave(move |_, _| Reply::Redirect(302, to.clone()))
        .start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let outcome = sandbox.haul().arg("--cacert").arg(&ca).arg(origin.url("/file.bin")).run();
    outcome.assert_failed(13);
    outcome.assert_says("--allow-downgrade");
    assert_eq!(plain.connections(), 0);
    sandbox.assert_empty();
    let outcome = sandbox
        .haul()
        .args(["--allow-downgrade", "-u", "user:S3CR", "-H", "X-Key: S3CR", "--cacert"])
        .arg(&ca)
        .arg(origin.url("/file.bin"))
        .run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_never_seen(&plain, &["S3CR", "dXNlcjpTM0NS", "uthorization"]);
}

// T059
#[test]
fn a_step_down_for_one_segment_only_is_refused_as_well() {
    let authority = Authority::new();
    let plain = Server::serve(PAYLOAD).start();
    let to = plain.url("/file.bin");
    let origin = Server::serve(PAYLOAD)
        .tls(authority.config(&["127.0.0.1"]))
        .behave(move |request, _| {
            if request.start() > 0 {
                Reply::Redirect(302, to.clone())
            } else {
                Reply::Ends(Ending::Close(MIB))
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let outcome = sandbox.haul().args(FOUR).arg("--cacert").arg(&ca).arg(origin.url("/file.bin")).run();
    outcome.assert_failed(13);
    assert_eq!(plain.connections(), 0);
    sandbox.assert_absent("file.bin");
}

// T060
#[test]
fn a_redirect_to_another_scheme_is_refused() {
    let sandbox = Sandbox::new();
    let secret = sandbox.root().join("secret");
    std::fs::write(&secret, "S3CR").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let locations = [
        format!("file://{}", secret.display()),
        format!("ftp://127.0.0.1:{port}/x"),
        format!("gopher://127.0.0.1:{port}/x"),
        "data:text/plain,hello".into(),
        "javascript:alert(1)".into(),
    ];
    for location in locations {
        let server = redirecting_to(302, &location);
        let outcome = sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(13);
        assert!(!outcome.said().contains("S3CR"), "{outcome}");
        sandbox.assert_empty();
    }
    if crate::crash::strace_works() {
        let server = redirecting_to(302, &format!("file://{}", secret.display()));
        let strace = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", "../trace"];
        sandbox.haul().under(strace).arg(server.url("/file.bin")).run().assert_failed(13);
        let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
        assert!(trace.contains("openat") && !trace.contains("/secret"), "{trace}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected to the port of another scheme");
}

// T053
#[test]
fn an_expired_address_is_renewed_once_for_all_connections() {
    let payload = Payload::mib(132, 16);
    let storage = Server::serve(payload).start();
    let origin = Server::serve(payload).start();
    let base = storage.origin();
    origin.behave_with({
        let issued = std::sync::atomic::AtomicUsize::new(0);
        move |_, _| {
            let n = issued.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Reply::Redirect(302, format!("{base}/real?ticket={n}"))
        }
    });
    let gate = Gate::after(6 * MIB);
    storage.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let running = sandbox.haul().args(FOUR).arg(origin.url("/file.bin")).spawn();
    storage.wait_for_body_bytes(6 * MIB);
    let expired: Vec<String> = storage.requests().iter().map(|record| record.target.clone()).collect();
    let asked_before = origin.requests().len();
    storage.behave_with(
        move |request, _| {
            if expired.contains(&request.target) { Reply::Status(403) } else { Reply::Normal }
        },
    );
    storage.hang_up();
    gate.open();
    let outcome = running.wait();
    outcome.assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    let renewals = origin.requests().len() - asked_before;
    assert!((1..=2).contains(&renewals), "{renewals} renewals; {}", origin.describe());
    storage.assert_cost(payload.len + 4 * MIB);
}

/// Serves only requests with the current ticket.
fn ticketed(payload: Payload) -> (Server, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let valid = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let asked = valid.clone();
    let server = Server::serve(payload)
        .behave(move |request, _| {
            let ticket = format!("sig={}", asked.load(std::sync::atomic::Ordering::SeqCst));
            if request.target.ends_with(&ticket) { Reply::Normal } else { Reply::Status(403) }
        })
        .start();
    (server, valid)
}

#[test]
fn a_url_that_expires_is_replaced_by_the_one_that_a_command_prints() {
    let payload = Payload::mib(133, 16);
    let (server, valid) = ticketed(payload);
    let gate = Gate::after(6 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    let command = format!("echo x >> ../renewals; echo '{}'", server.url("/file.bin?sig=1"));
    let running = sandbox
        .haul()
        .args(["--refresh-cmd", &command, "-o", "file.bin"])
        .args(FOUR)
        .arg(server.url("/file.bin?sig=0"))
        .spawn();
    server.wait_for_body_bytes(6 * MIB);
    valid.store(1, std::sync::atomic::Ordering::SeqCst);
    server.hang_up();
    gate.open();
    running.wait().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert_eq!(std::fs::read_to_string(sandbox.root().join("renewals")).unwrap(), "x\n");
    server.assert_cost(payload.len + 4 * MIB);
}

#[test]
fn a_command_that_prints_no_usable_url_ends_it_and_says_why() {
    let payload = Payload::mib(134, 4);
    let (server, _) = ticketed(payload);
    let stale = server.url("/file.bin?sig=9");
    for (command, said) in [
        ("false", "--refresh-cmd failed"),
        ("true", "printed nothing"),
        ("echo file:///etc/passwd", "http and https"),
        ("echo http://me:S3CR@h/", "user name"),
        ("yes http://h/", "more than a URL"),
    ] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(["--refresh-cmd", command]).arg(&stale).run();
        outcome.assert_failed(4).assert_says(said);
        assert!(!outcome.said().contains("S3CR"), "{outcome}");
        sandbox.assert_empty();
    }
    // A fresh URL that is refused as well is not replaced again and again.
    let sandbox = Sandbox::new();
    sandbox.haul().args(["--refresh-cmd", &format!("echo '{stale}'")]).arg(&stale).run().assert_failed(4);
    assert!(server.requests().len() < 20, "{}", server.describe());
}

#[test]
fn a_fresh_url_of_another_origin_gets_no_secrets() {
    let payload = Payload::mib(135, 4);
    let elsewhere = Server::serve(payload).start();
    let origin = Server::serve(payload).behave(|_, _| Reply::Status(403)).start();
    let sandbox = Sandbox::new();
    let command = format!("echo '{}'", elsewhere.url("/file.bin"));
    let haul = sandbox.haul().args(["--refresh-cmd", &command, "-u", "me:S3CR", "-H", "X-Key: S3CR"]);
    haul.arg(origin.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    for request in elsewhere.requests() {
        assert!(!request.has("authorization") && !request.has("x-key"), "{}", elsewhere.describe());
    }
}

/// Two servers: today's URL is `sig=1`, with `fresh` behind it, and yesterday's is `sig=0`, with the file; the latter
/// is held after its first bytes.
fn expiring(old: Resource, fresh: Resource) -> (Server, Server) {
    let today = Server::serve(fresh).start();
    let yesterday = Server::serve(old).gate(&Gate::after(2 * MIB)).start();
    (yesterday, today)
}

#[test]
fn a_fresh_url_that_leads_to_another_file_ends_it_and_everything_is_kept() {
    let payload = Payload::mib(136, 8);
    let longer = Resource::of(Payload::new(136, payload.len + 1));
    let other = Resource::of(Payload::mib(137, 8)).etag("\"v2\"");
    let page =
        Resource::of(Payload::new(138, 900)).no_validator().content_type("text/html").ignoring_ranges();
    let silent = Resource::of(payload).no_validator();
    let elsewhere = Resource::of(Payload::mib(137, 8)).etag("\"v2\"").ignoring_ranges();
    for fresh in [longer, other, page, silent, elsewhere] {
        let (yesterday, today) = expiring(Resource::of(payload), fresh.clone());
        let sandbox = Sandbox::new();
        let command = format!("echo '{}'", today.url("/file.bin?sig=1"));
        let haul =
            sandbox.haul().arg("--json").args(FOUR).args(["--refresh-cmd", &command, "-o", "file.bin"]);
        let running = haul.arg(yesterday.url("/file.bin?sig=0")).spawn();
        yesterday.wait_for_body_bytes(2 * MIB);
        running.wait_for_durable(MIB);
        yesterday.behave_with(|_, _| Reply::Status(403));
        yesterday.hang_up();
        let outcome = running.wait();
        outcome.assert_failed(8).assert_says("fresh URL");
        assert!(!outcome.stderr.contains("the same command resumes"), "{outcome}");
        sandbox.assert_absent("file.bin");
        // The right URL resumes from there.
        yesterday.recover();
        yesterday.forget();
        let again = sandbox.haul().args(FOUR).args(["-o", "file.bin"]);
        again.arg(yesterday.url("/file.bin?sig=0")).run().assert_ok();
        sandbox.assert_ok_file(&payload, "file.bin");
        assert!(yesterday.body_bytes() <= payload.len - MIB, "{fresh:?}: {}", yesterday.describe());
    }
}

/// Returns true if the process that wrote its id into `name` still runs.
fn runs(sandbox: &Sandbox, name: &str) -> bool {
    let number = std::fs::read_to_string(sandbox.root().join(name)).unwrap();
    std::path::Path::new(&format!("/proc/{}/cmdline", number.trim())).exists()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !condition() {
        assert!(since.elapsed().as_secs() < 10, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_that_looks_for_a_fresh_url_ends_with_haul_and_so_do_its_children() {
    for signal in ["TERM", "INT", "HUP"] {
        let server = Server::serve(Payload::mib(139, 4)).behave(|_, _| Reply::Status(403)).start();
        let sandbox = Sandbox::new();
        let child = "sh -c 'echo $$ > ../child; exec sleep 1000'";
        let command = format!("trap '' TERM INT HUP; {child} & echo $$ > ../shell; wait");
        let haul = sandbox.haul().args(FOUR).args(["--refresh-cmd", &command]);
        let running = haul.arg(server.url("/file.bin?sig=0")).spawn();
        let written =
            |name| std::fs::read_to_string(sandbox.root().join(name)).is_ok_and(|text| text.ends_with('\n'));
        eventually("the command runs", || written("child") && written("shell"));
        running.signal(signal);
        running.wait();
        eventually("the command has ended", || !runs(&sandbox, "shell") && !runs(&sandbox, "child"));
    }
}

#[test]
fn two_commands_never_look_for_a_fresh_url_at_once() {
    let payload = Payload::mib(140, 16);
    let (server, valid) = ticketed(payload);
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let sandbox = Sandbox::new();
    // Longer than haul's patience with silent connections.
    let command = format!(
        "mkdir ../one || echo x >> ../two; sleep 4; rmdir ../one; echo '{}'",
        server.url("/file.bin?sig=1")
    );
    let haul =
        sandbox.haul().args(["--refresh-cmd", &command, "-o", "file.bin"]).args(["-x", "8", "-k", "1M"]);
    let running = haul.arg(server.url("/file.bin?sig=0")).spawn();
    server.wait_for_body_bytes(4 * MIB);
    valid.store(1, std::sync::atomic::Ordering::SeqCst);
    server.hang_up();
    gate.open();
    running.wait().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert!(!sandbox.root().join("two").exists());
}

/// Refuses requests without `new` in the query.
fn with_new_ones_only() -> Server {
    let refused = |request: &Request| !request.target.contains("new");
    let behaviour =
        move |request: &Request, _| if refused(request) { Reply::Status(403) } else { Reply::Normal };
    Server::serve(Payload::mib(142, 1)).behave(behaviour).start()
}

#[test]
fn commands_of_several_files_run_one_after_the_other_and_are_told_which_url_it_is_about() {
    let server = with_new_ones_only();
    let sandbox = Sandbox::new();
    let command = "mkdir ../one || echo x >> ../two; sleep 0.3; rmdir ../one; echo \"$HAUL_URL?new\"";
    let urls: Vec<_> = ["/a", "/b", "/c", "/d"].map(|path| server.url(path)).into();
    let outcome = sandbox.haul().args(["--refresh-cmd", command, "-j", "4"]).args(&urls).run();
    outcome.assert_ok();
    assert!(!sandbox.root().join("two").exists(), "two at once: {outcome}");
    for path in ["/a?new", "/b?new", "/c?new", "/d?new"] {
        assert!(server.gets().iter().any(|get| get.target == path), "{path}: {}", server.describe());
    }
}

#[test]
fn one_fresh_url_is_never_taken_for_two_files() {
    let server = with_new_ones_only();
    let sandbox = Sandbox::new();
    let command = format!("echo '{}'", server.url("/a?new"));
    let outcome =
        sandbox.haul().args(["--refresh-cmd", &command, &server.url("/a"), &server.url("/b")]).run();
    outcome.assert_failed(4).assert_says("one URL for two files");
    assert_eq!(sandbox.entries().len(), 1, "{outcome}");
}

#[test]
fn a_signed_url_that_is_refused_says_that_it_may_have_expired_and_what_helps() {
    let payload = Payload::mib(141, 8);
    for status in [403, 404, 410, 401] {
        let server = Server::serve(payload).start();
        let gate = Gate::after(4 * MIB);
        server.set_gate(Some(&gate));
        let sandbox = Sandbox::new();
        let haul = sandbox.haul().args(FOUR).args(["-o", "file.bin"]);
        let running = haul.arg(server.url("/file.bin?X-Amz-Signature=abc")).spawn();
        server.wait_for_body_bytes(4 * MIB);
        server.behave_with(move |_, _| Reply::Status(status));
        server.hang_up();
        let outcome = running.wait();
        outcome.assert_failed_as_one_of(&[3, 4]).assert_says("expired");
        outcome.assert_says("--refresh-cmd");
        assert!(!outcome.stderr.contains("the same command resumes"), "{outcome}");
        // A URL that was never valid is reported in the same way.
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(server.url("/file.bin?token=abc")).run();
        outcome.assert_failed_as_one_of(&[3, 4]).assert_says("--refresh-cmd");
    }
}
