//! netrc and cookie files: read only when asked for, and for their own hosts only.

use crate::support::*;

const PAYLOAD: Payload = Payload::new(321, 100_000);

/// Serves clients that send this secret in this header field.
fn guarded(header: &'static str, value: &'static str) -> Server {
    Server::serve(PAYLOAD)
        .behave(move |request, _| match request.header(header) {
            Some(sent) if sent == value => Reply::Normal,
            _ => Reply::Status(401),
        })
        .start()
}

/// `me:secret` in the form of RFC 7617.
const ME: &str = "Basic bWU6c2VjcmV0";

#[test]
fn a_netrc_file_is_read_only_when_asked_for() {
    let server = guarded("authorization", ME);
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.home().join(".netrc"), "machine 127.0.0.1\nlogin me\npassword secret\n").unwrap();
    let url = server.url("/file.bin");
    sandbox.haul().arg(&url).run().assert_failed(4);
    assert!(server.requests().iter().all(|record| !record.has("authorization")));
    sandbox.haul().arg("--netrc").arg(&url).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_netrc_file_has_nothing_for_strangers_or_other_users() {
    let server = guarded("authorization", ME);
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    let run = |text: &str, url: &str| {
        sandbox.write("my.netrc", text);
        sandbox.haul().args(["--netrc-file", "my.netrc"]).arg(url).run()
    };
    let me = "machine 127.0.0.1 login me password secret\n";
    run("default login me password secret\n", &url).assert_failed(4);
    run("machine localhost login me password secret\n", &url).assert_failed(4);
    run(me, &url.replace("//", "//you@")).assert_failed(4);
    assert!(server.requests().iter().all(|record| record.header("authorization") != Some(ME)));
    run(me, &url.replace("//", "//me@")).assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    sandbox.haul().args(["--netrc-file", "nowhere"]).arg(&url).run().assert_failed(2);
}

// curl CVE-2024-11053
#[test]
fn no_password_of_a_netrc_file_follows_a_redirect() {
    let target = Server::serve(PAYLOAD).start();
    let location = format!("{}/real", target.origin_as("localhost"));
    let origin = Server::serve(PAYLOAD).behave(move |_, _| Reply::Redirect(302, location.clone())).start();
    let sandbox = Sandbox::new();
    sandbox.write(
        "my.netrc",
        "machine 127.0.0.1 login me password secret machine localhost login you password other",
    );
    sandbox.haul().args(["--netrc-file", "my.netrc"]).arg(origin.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(origin.requests().iter().all(|record| record.header("authorization") == Some(ME)));
    assert!(target.requests().iter().all(|record| !record.has("authorization")));
}

#[test]
fn each_mirror_has_the_login_of_its_own_host() {
    let mirror = guarded("authorization", "Basic eW91Om90aGVy");
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    sandbox.write(
        "my.netrc",
        "machine 127.0.0.1 login me password secret machine localhost login you password other",
    );
    let copy = format!("{}/copy", mirror.origin_as("localhost"));
    let haul = sandbox.haul().args(["--netrc-file", "my.netrc", "--sha256", &PAYLOAD.sha256_hex()]);
    haul.args(["--mirror", &copy]).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(server.requests().iter().all(|record| record.header("authorization") == Some(ME)));
}

#[test]
fn cookies_of_a_file_go_to_their_own_host_with_those_that_were_given() {
    let server = guarded("cookie", "a=1; deep=2; session=3");
    let sandbox = Sandbox::new();
    let jar = "# Netscape HTTP Cookie File\n\
        127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t3\n\
        #HttpOnly_127.0.0.1\tFALSE\t/pub\tFALSE\t99999999999\tdeep\t2\n\
        127.0.0.1\tFALSE\t/\tFALSE\t1000\told\t4\n\
        127.0.0.1\tFALSE\t/\tTRUE\t0\tsecure\t5\n\
        .example.org\tTRUE\t/\tFALSE\t0\tforeign\t6\n";
    let path = sandbox.write("cookies.txt", jar);
    let url = server.url("/pub/file.bin");
    let outcome = sandbox.haul().args(["-b", "cookies.txt", "-H", "Cookie: a=1"]).arg(&url).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(server.requests().iter().all(|record| record.all_headers("cookie").len() == 1));
    assert_eq!(std::fs::read_to_string(path).unwrap(), jar);
}

#[test]
fn no_cookie_of_a_file_follows_a_redirect() {
    let target = Server::serve(PAYLOAD).start();
    let location = target.url("/real");
    let origin = Server::serve(PAYLOAD).behave(move |_, _| Reply::Redirect(302, location.clone())).start();
    let sandbox = Sandbox::new();
    sandbox.write("cookies.txt", "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tS3CR\n");
    let outcome =
        sandbox.haul().args(["-v", "--load-cookies", "cookies.txt"]).arg(origin.url("/file.bin")).run();
    outcome.assert_ok();
    assert!(!outcome.to_string().contains("S3CR"), "{outcome}");
    assert!(origin.requests().iter().all(|record| record.has("cookie")));
    assert!(target.requests().iter().all(|record| !record.has("cookie")));
}

#[test]
fn a_cookie_in_the_place_of_a_file_is_explained() {
    let outcome = Sandbox::new().haul().args(["-b", "session=3", "http://127.0.0.1:9/x"]).run();
    outcome.assert_failed(2);
    outcome.assert_says("-H 'Cookie: NAME=VALUE'");
    let sandbox = Sandbox::new();
    sandbox.write("cookies.json", "[{\"name\": \"session\"}]\n");
    let outcome = sandbox.haul().args(["-b", "cookies.json", "http://127.0.0.1:9/x"]).run();
    outcome.assert_failed(2);
    outcome.assert_says("cookies.txt");
}

#[test]
fn a_cookie_that_no_header_may_hold_is_refused_before_anything_is_sent() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("cookies.txt", "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\ta\u{1}b\n");
    sandbox.haul().args(["-b", "cookies.txt"]).arg(server.url("/file.bin")).run().assert_failed(2);
    assert!(server.requests().is_empty());
}

#[test]
fn what_is_said_in_a_header_goes_before_a_netrc_file() {
    let server = guarded("authorization", "Bearer t0ken");
    let sandbox = Sandbox::new();
    sandbox.write("my.netrc", "machine 127.0.0.1 login me password secret");
    let haul = sandbox.haul().args(["--netrc-file", "my.netrc", "-H", "Authorization: Bearer t0ken"]);
    haul.arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn what_a_list_says_and_what_files_have_goes_together() {
    let server = guarded("cookie", "b=2; a=1");
    let mirror = guarded("authorization", ME);
    let sandbox = Sandbox::new();
    sandbox.write("cookies.txt", "localhost\tFALSE\t/\tFALSE\t0\ta\t1\n");
    sandbox.write("my.netrc", "machine 127.0.0.1 login me password secret");
    let url = format!("{}/file.bin", server.origin_as("localhost"));
    let line = serde_json::json!({
        "url": url, "headers": ["Cookie: b=2"], "mirrors": [mirror.url("/copy")], "sha256": PAYLOAD.sha256_hex(),
    });
    sandbox.write("list", format!("{line}\n"));
    let run = || sandbox.haul().args(["-i", "list", "-b", "cookies.txt", "--netrc-file", "my.netrc"]).run();
    run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(server.requests().iter().all(|record| record.all_headers("cookie") == ["b=2; a=1"]));
    // If the URL itself is gone, the mirror gets the login of the netrc file, and no cookies.
    server.behave_with(|_, _| Reply::Status(404));
    std::fs::remove_file(sandbox.path("file.bin")).unwrap();
    run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(mirror.requests().iter().all(|record| !record.has("cookie")));
}

#[test]
fn a_mirror_of_the_same_origin_hears_what_the_url_does() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match (request.header("x-key"), request.path()) {
            (Some("S3CR"), "/copy") => Reply::Normal,
            _ => Reply::Status(404),
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.write("my.netrc", "machine 127.0.0.1 login me password secret");
    let haul = sandbox.haul().args(["--netrc-file", "my.netrc", "-H", "X-Key: S3CR"]);
    let haul = haul.args(["--sha256", &PAYLOAD.sha256_hex(), "--mirror", &server.url("/copy")]);
    haul.arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn the_configuration_may_ask_for_a_netrc_file_where_there_is_one() {
    let server = guarded("authorization", ME);
    let sandbox = Sandbox::new();
    let config = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "netrc = true\n").unwrap();
    let url = server.url("/file.bin");
    sandbox.haul().arg(&url).run().assert_failed(4);
    std::fs::write(sandbox.home().join(".netrc"), "machine 127.0.0.1 login me password secret\n").unwrap();
    sandbox.haul().arg(&url).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}
