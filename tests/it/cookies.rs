//! Cookies: those of a file for the requested URL, and those of redirects for the request that met them.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(181, 8);
const FOUR: &[&str] = &["-x", "4", "-k", "1M"];

fn set_cookie(location: &str, cookies: &[&str]) -> Reply {
    let mut answer = Answer::new(307);
    answer.set("Location", location).set("Content-Length", "0");
    for cookie in cookies {
        answer.add("Set-Cookie", cookie);
    }
    Reply::Answer(answer)
}

fn has_cookie(request: &Request, pair: &str) -> bool {
    request.header("cookie").is_some_and(|cookies| cookies.split("; ").any(|cookie| cookie == pair))
}

#[test]
fn a_redirect_to_the_same_url_that_sets_a_cookie_is_no_circle() {
    for location in ["/file.bin", "/file.bin?", "file.bin#seen"] {
        let server = Server::serve(PAYLOAD)
            .behave(move |request, _| match has_cookie(request, "seen=yes") {
                true => Reply::Normal,
                false => set_cookie(location, &["seen=yes; Path=/; HttpOnly"]),
            })
            .start();
        let sandbox = Sandbox::new();
        sandbox.haul().args(FOUR).arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(
            server.gets().iter().filter(|get| has_cookie(get, "seen=yes")).count() > 1,
            "{}",
            server.describe()
        );
    }
}

#[test]
fn a_cookie_that_a_redirect_has_set_stays_with_its_origin_for_all_connections() {
    let other = Server::serve(PAYLOAD)
        .behave(|request, _| match has_cookie(request, "theirs=2") {
            true => Reply::Normal,
            false => set_cookie("/real?again", &["theirs=2"]),
        })
        .start();
    let target = other.url("/real");
    let origin = Server::serve(PAYLOAD)
        .behave(move |_, _| set_cookie(&target, &["ours=S3CR; Domain=127.0.0.1", "stray=S3CR; Domain=0.0.1"]))
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(FOUR).args(["-v", "-o", "file.bin"]).arg(origin.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(
        other.gets().iter().filter(|get| has_cookie(get, "theirs=2")).count() > 1,
        "{}",
        other.describe()
    );
    assert!(other.requests().iter().all(|request| !request.contains("S3CR")), "{}", other.describe());
    assert!(origin.requests().iter().all(|request| !request.contains("stray")), "{}", origin.describe());
    assert!(!outcome.said().contains("S3CR"), "{outcome}");
}

#[test]
fn cookies_end_with_the_request_that_met_them() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/one" => set_cookie("/real", &["one=1; Path=/"]),
            "/two" => set_cookie("/real", &["two=2; Path=/"]),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox
        .haul()
        .args(["-j", "1", "-x", "1"])
        .args([server.url("/one"), server.url("/two")])
        .run()
        .assert_ok();
    assert!(!server.requests().iter().any(|request| request.contains("one=1") && request.contains("two=2")));
    sandbox.haul().args(["-o", "again"]).arg(server.url("/plain")).run().assert_ok();
    assert!(!server.requests().last().unwrap().has("cookie"), "{}", server.describe());
}

#[test]
fn a_server_that_sets_a_new_cookie_each_time_is_a_circle_all_the_same() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| set_cookie("/file.bin", &[&format!("n={}; Path=/", request.n)]))
        .start();
    let outcome = Sandbox::new().haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(5).assert_says("redirects");
    assert!(server.gets().len() <= 11, "{}", server.describe());
}

#[test]
fn the_cookies_of_a_file_are_chosen_at_each_hop() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/private/file" => Reply::Redirect(302, "/elsewhere/file".into()),
            "/elsewhere/file" => Reply::Redirect(302, "/public/file".into()),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let line = |path: &str, name: &str| format!("127.0.0.1\tFALSE\t{path}\tFALSE\t0\t{name}\t1\n");
    sandbox.write("jar", line("/private/", "private") + &line("/public", "public") + &line("/", "all"));
    sandbox.haul().args(FOUR).args(["-b", "jar"]).arg(server.url("/private/file")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file");
    for request in server.requests() {
        let expected = match request.path() {
            "/private/file" => "private=1; all=1",
            "/elsewhere/file" => "all=1",
            _ => "public=1; all=1",
        };
        assert_eq!(request.all_headers("cookie"), [expected], "{}", request.target);
    }
}
