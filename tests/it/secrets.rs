//! Secrets of the command line and of URLs are shown nowhere, and no text of a server acts on a terminal.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(121, 1);
const SECRET: &str = "S3CRETpw";

fn acts_on_a_terminal(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn no_argument_that_is_refused_shows_its_secret() {
    let server = Server::serve(PAYLOAD).start();
    let url = server.url("/f");
    let of = |text: &str| text.replace("SECRET", SECRET);
    let lines = [
        vec![of("http://me:SECRET/x@host/f")],
        vec![of("http://me:SECRET#x@host/f")],
        vec![of("http://me:SECRET?x@host/f")],
        vec![of("http:/me:SECRET@host:x/f")],
        vec![of("//me:SECRET@host/f")],
        vec![of("me:SECRET@host/f")],
        vec![of("SECRET:@host/f")],
        vec![of("http://me:SECRET/f")],
        vec![of("http://host:x/f?token=SECRET")],
        vec![of("http://host/f?token=SECRET\u{7}")],
        vec![of("htp://host/f?sig=SECRET")],
        vec![of("Cookie: a=SECRET")],
        vec![url.clone(), "--mirror".into(), of("http://me:SECRET#@host/f")],
        vec![url.clone(), "--checksum-file".into(), of("http:/me:SECRET@host/f")],
        vec![url.clone(), "--checksum-file".into(), of("http://me:SECRET?@host/f")],
        vec!["--metalink".into(), of("http:/host/f?token=SECRET")],
        vec!["-i".into(), of("http://me:SECRET@host/f")],
        vec![url.clone(), "-x".into(), of("http://me:SECRET@proxy:8080")],
        vec![url.clone(), "-k".into(), of("https://host/f?token=SECRET")],
        vec![url.clone(), "--interface".into(), of("http://me:SECRET@proxy:8080")],
        vec![url.clone(), "--noproxy".into(), of("http://me:SECRET@proxy:8080")],
        vec![url.clone(), "--noproxy".into(), of("me:SECRET@host")],
        vec![url.clone(), "--limit-rate".into(), of("http://me:SECRET@proxy:8080")],
        vec![url.clone(), "--max-size".into(), of("http:me:SECRET@proxy")],
        vec![url.clone(), "--retry-max-time".into(), of("me:SECRET@proxy")],
        vec![url.clone(), "--bearer-file".into(), SECRET.into()],
        vec![url.clone(), "-H".into(), SECRET.into()],
        vec![url.clone(), "-u".into(), of("@SECRET")],
        vec![url.clone(), "--cert".into(), of("cert.pem:SECRET")],
        vec![url.clone(), "--proxy".into(), of("http://me:SECRET#@proxy")],
        vec!["info".into(), "--json".into(), of("http://me:SECRET/@host/f")],
        vec![url.clone(), of("--http-password=SECRET")],
    ];
    for line in lines {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(&line).args(["--retry", "0"]).run();
        outcome.assert_failed(2);
        let said = format!("{}{}", outcome.stderr, outcome.stdout_text());
        assert!(!said.contains(SECRET), "{line:?} {said}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn the_command_that_goes_on_shows_no_secret_however_it_was_given() {
    let server = Server::serve(PAYLOAD).handler(|_, exchange| exchange.stall()).start();
    let of = |text: &str| text.replace("SECRET", SECRET);
    for flags in [
        vec!["-vu".to_owned(), of("me:SECRET")],
        vec!["-4vu".to_owned(), of("me:SECRET")],
        vec!["-qu".to_owned(), of("me:SECRET")],
        vec!["-vH".to_owned(), of("Cookie: a=SECRET")],
        vec![of("-4Hx: SECRET")],
        vec![of("--user=me:SECRET")],
    ] {
        server.forget();
        let sandbox = Sandbox::new();
        let running = sandbox.haul().args(&flags).arg(server.url("/f")).spawn();
        server.wait_until("it asks", |log| !log.requests.is_empty());
        running.signal("INT");
        let outcome = running.wait();
        outcome.assert_signalled(2).assert_says("next: run the same command again");
        assert!(!outcome.said().contains(SECRET), "{flags:?} {outcome}");
    }
}

#[test]
fn the_command_that_goes_on_is_one_that_a_shell_takes() {
    let server = Server::serve(PAYLOAD).handler(|_, exchange| exchange.stall()).start();
    let sandbox = Sandbox::new();
    let url = server.url("/f?a=$(x)&b");
    let running = sandbox.haul().args(["-4qo", "it's; new"]).arg(&url).spawn();
    server.wait_until("it asks", |log| !log.requests.is_empty());
    running.signal("INT");
    running.wait().assert_says(&format!("next: haul -4 -q -o \"it's; new\" '{url}'"));
}

#[test]
fn a_secret_parameter_is_known_by_the_end_of_its_decoded_name() {
    let server = Server::serve(PAYLOAD).start();
    for query in [
        "sas_token=SECRET",
        "up%6Coad%2Dtoken=SECRET",
        "a=1;accessToken=SECRET",
        "to=http%3A%2F%2Fh%2F%3Fsig%3DSECRET",
    ] {
        let sandbox = Sandbox::new();
        let url = server.url(&format!("/f?{}", query.replace("SECRET", SECRET)));
        let outcome = sandbox.haul().args(["--json", "-v"]).arg(&url).run();
        outcome.assert_ok();
        assert!(
            !format!("{}{}", outcome.stderr, outcome.stdout_text()).contains(SECRET),
            "{query} {outcome}"
        );
    }
}

#[test]
fn a_finished_file_keeps_no_query_of_its_url_and_is_known_again_by_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = |query: &str| server.url(&format!("/f?{query}"));
    sandbox.haul().arg(url("unheard-of=S3CRETpw&id=4711")).run().assert_ok();
    let seal = seal_of(&sandbox.path("f"));
    assert!(!seal.contains(SECRET) && !seal.contains("4711"), "{seal}");
    sandbox.haul().arg(url("unheard-of=S3CRETpw&id=4711")).run().assert_ok();
    sandbox.haul().arg(url("unheard-of=S3CRETpw&id=4712")).run().assert_failed(10);
}

/// Reads the `user.haul` attribute of a file.
fn seal_of(path: &std::path::Path) -> String {
    let mut buffer = vec![0; 16 << 10];
    let length = rustix::fs::getxattr(path, "user.haul", &mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn nothing_that_a_server_sends_acts_on_a_terminal_in_text_or_json() {
    let bad = "\u{9b}31m\u{202e}\u{2028}";
    let server = Server::serve(PAYLOAD)
        .handler(move |request, exchange| {
            let mut answer = exchange.answer();
            answer.set("Content-Type", format!("text/{bad}"));
            answer.set("Last-Modified", bad).set("ETag", format!("\"{bad}\""));
            answer.set(
                "Content-Disposition",
                format!("attachment; filename*=UTF-8''a%C2%9B%E2%80%AEb{}", request.path().len()),
            );
            exchange.send(&answer);
        })
        .start();
    for args in [&["info", "--json"][..], &["info"], &["-n", "--json"], &["--json"], &["-v"]] {
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().args(args).arg(server.url("/f")).run();
        let said = format!("{}{}", outcome.stderr, outcome.stdout_text());
        assert!(!said.contains(acts_on_a_terminal), "{args:?} {said:?}");
        if args == ["info", "--json"] {
            assert_eq!(outcome.event("plan")["etag"], format!("\"{bad}\""), "it reads back as it was sent");
        }
    }
}
