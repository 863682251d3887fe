//! Proxies: requests to them and through them, and the separation of secrets of the proxy and of the server.

use crate::support::proxy::Proxy;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(201, 4);
const FOUR: &[&str] = &["-x", "4", "-k", "256K"];

/// `u:S3CR` as Basic credentials.
const BASIC: &str = "Basic dTpTM0NS";

fn with_netrc() -> Sandbox {
    let sandbox = Sandbox::new();
    let netrc = "machine 127.0.0.1 login n3trc password n3trc\ndefault login n3trc password n3trc\n";
    std::fs::write(sandbox.home().join(".netrc"), netrc).unwrap();
    sandbox
}

// T062
#[test]
fn a_forwarding_proxy_gets_its_credentials_and_the_server_does_not() {
    let server = Server::serve(PAYLOAD).start();
    let proxy = Proxy::http(Some(BASIC));
    let sandbox = with_netrc();
    let url = format!("http://u:S3CR@127.0.0.1:{}", proxy.port());
    let outcome =
        sandbox.haul().args(["-vvv", "--proxy", &url]).args(FOUR).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(proxy.heads().len() >= 4, "{:?}", proxy.heads());
    assert!(
        proxy.heads().iter().all(|head| head["GET ".len()..].trim_start().starts_with("http://127.0.0.1:")),
        "{:?}",
        proxy.heads()
    );
    for request in server.requests() {
        let raw = String::from_utf8_lossy(&request.raw).to_lowercase();
        assert!(!raw.contains("authorization") && !raw.contains("n3trc"), "{raw}");
    }
    assert!(!outcome.said().contains("S3CR") && !outcome.said().contains(BASIC), "{outcome}");
}

// T062
#[test]
fn a_tunnel_is_asked_for_without_what_is_meant_for_the_server() {
    let authority = Authority::new();
    let server = Server::serve(PAYLOAD).tls(authority.config(&["localhost"])).start();
    let proxy = Proxy::http(Some(BASIC));
    let sandbox = with_netrc();
    let ca = authority.write_to(&sandbox);
    let outcome = sandbox
        .haul()
        .env("HTTPS_PROXY", format!("http://u:S3CR@127.0.0.1:{}", proxy.port()))
        .arg("--cacert")
        .arg(&ca)
        .args(["-vvv", "-H", "Authorization: Bearer 0r1g1n", "-H", "X-Key: 0r1g1n"])
        .args(FOUR)
        .arg(format!("{}/file.bin", server.origin_as("localhost")))
        .run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(!proxy.heads().is_empty());
    for head in proxy.heads() {
        assert!(head.starts_with(&format!("CONNECT localhost:{} ", server.port())), "{head}");
        assert!(!head.contains("0r1g1n") && !head.to_lowercase().contains("\nauthorization"), "{head}");
    }
    for request in server.requests() {
        let raw = String::from_utf8_lossy(&request.raw).into_owned();
        assert!(raw.contains("0r1g1n") && !raw.contains(BASIC) && !raw.contains("n3trc"), "{raw}");
    }
    assert!(!outcome.said().contains("S3CR"), "{outcome}");
}

// T062
#[test]
fn no_netrc_is_opened_unless_it_is_asked_for() {
    if !crate::crash::strace_works() {
        return;
    }
    let server = Server::serve(PAYLOAD).start();
    let sandbox = with_netrc();
    let strace = ["strace", "-f", "-qq", "-e", "trace=openat,open", "-o", "../trace"];
    sandbox.haul().under(strace).arg(server.url("/file.bin")).run().assert_ok();
    let trace = std::fs::read_to_string(sandbox.root().join("trace")).unwrap();
    assert!(trace.contains("file.bin.part") && !trace.contains("netrc"), "{trace}");
}

#[test]
fn a_proxy_that_wants_other_credentials_is_an_auth_failure() {
    let authority = Authority::new();
    let secure = Server::serve(PAYLOAD).tls(authority.config(&["localhost"])).start();
    let plain = Server::serve(PAYLOAD).start();
    let proxy = Proxy::http(Some(BASIC));
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let url = format!("http://u:wr0ng@127.0.0.1:{}", proxy.port());
    for target in [format!("{}/file.bin", secure.origin_as("localhost")), plain.url("/file.bin")] {
        let outcome = sandbox.haul().arg("--cacert").arg(&ca).args(["--proxy", &url]).arg(target).run();
        outcome.assert_failed(4).assert_says("proxy");
        assert!(!outcome.said().contains("wr0ng"), "{outcome}");
    }
    assert!(secure.requests().is_empty() && plain.requests().is_empty());
    sandbox.assert_absent("file.bin");
}

#[test]
fn a_socks_proxy_looks_names_up_only_where_it_is_to() {
    let server = Server::serve(PAYLOAD).start();
    for (scheme, named) in [("socks5h", "localhost"), ("socks5", "127.0.0.1")] {
        let proxy = Proxy::socks();
        let sandbox = Sandbox::new();
        sandbox
            .haul()
            .args(["--proxy", &format!("{scheme}://127.0.0.1:{}", proxy.port())])
            .args(FOUR)
            .arg(format!("{}/file.bin", server.origin_as("localhost")))
            .run()
            .assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        let heads = proxy.heads();
        let expected = format!("{named}:{}", server.port());
        assert!(!heads.is_empty() && heads.iter().all(|head| *head == expected), "{heads:?}");
    }
}

#[test]
fn what_is_excepted_is_reached_without_the_proxy() {
    let server = Server::serve(PAYLOAD).start();
    let proxy = Proxy::http(None);
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let sandbox = Sandbox::new();
    let run = |name: &str, args: &[&str], no_proxy: &str| {
        let haul = sandbox.haul().env("http_proxy", url.as_str()).env("no_proxy", no_proxy);
        haul.args(["-o", name]).args(args).arg(server.url("/file.bin")).run().assert_ok();
    };
    run("a", &["--noproxy", "127.0.0.0/8"], "");
    run("b", &[], "localhost,127.0.0.1");
    run("c", &["--proxy", ""], "");
    assert!(proxy.heads().is_empty(), "{:?}", proxy.heads());
    run("d", &[], "");
    assert!(!proxy.heads().is_empty());
}

#[test]
fn a_proxy_that_cannot_be_reached_is_a_network_failure_that_names_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("http://{dead}");
    let outcome = sandbox.haul().args(["--retry", "1", "--proxy", &proxy]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(6).assert_says("proxy");
    sandbox.haul().args(["--proxy", "ftp://h"]).arg(server.url("/file.bin")).run().assert_failed(2);
    assert!(server.requests().is_empty());
}

/// URL of a server that does not exist, for requests through a proxy.
const ELSEWHERE: &str = "https://server.test/file.bin";

fn tried_again(outcome: &Outcome) -> bool {
    outcome.said().contains("\"event\":\"retry\"")
}

#[test]
fn a_refusal_of_a_tunnel_is_told_at_once_with_its_status() {
    let table: [(&[u8], i32, &str); 9] = [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nwebsite", 4, "403"),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", 4, "401"),
        (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", 4, "USER:PASSWORD@"),
        (
            b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n",
            4,
            "Negotiate or NTLM",
        ),
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", 5, "400"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 5, "404"),
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\n\r\n", 5, "429"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n", 5, "302"),
        (b"HTTP/1.1 501 Not Implemented\r\n\r\n", 5, "501"),
    ];
    for (answer, code, said) in table {
        let proxy = Proxy::answering(answer);
        let sandbox = Sandbox::new();
        let url = format!("http://127.0.0.1:{}", proxy.port());
        let outcome = sandbox.haul().args(["--json", "--proxy", &url]).arg(ELSEWHERE).run();
        outcome.assert_failed(code).assert_says("proxy").assert_says(said);
        assert!(!tried_again(&outcome), "{outcome}");
        sandbox.assert_empty();
    }
}

#[test]
fn a_tunnel_that_failed_on_the_way_is_tried_again() {
    for (answer, said) in [
        (&b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"[..], "502"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "503"),
        (b"", "proxy"),
    ] {
        let proxy = Proxy::answering(answer);
        let sandbox = Sandbox::new();
        let url = format!("http://127.0.0.1:{}", proxy.port());
        let outcome = sandbox.haul().args(["--json", "--retry", "1", "--proxy", &url]).arg(ELSEWHERE).run();
        outcome.assert_failed(6).assert_says("proxy").assert_says(said);
        assert!(tried_again(&outcome), "{outcome}");
    }
}

#[test]
fn a_proxy_that_speaks_before_the_server_was_spoken_to_is_not_believed() {
    let proxy = Proxy::answering(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let sandbox = Sandbox::new();
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let outcome = sandbox.haul().args(["--retry", "0", "--proxy", &url]).arg(ELSEWHERE).run();
    outcome.assert_failed(5).assert_says("proxy");
    sandbox.assert_absent("file.bin");
}

// RFC 1928 §6
#[test]
fn every_refusal_of_socks_is_told_in_words() {
    let table = [
        (1, 6, "it failed"),
        (2, 4, "forbids"),
        (3, 6, "the network cannot be reached"),
        (4, 6, "the host cannot be reached"),
        (5, 6, "refused the connection"),
        (6, 6, "takes too long"),
        (7, 5, "makes no connections"),
        (8, 5, "names are looked up here"),
        (9, 5, "does not know"),
    ];
    for (reply, code, said) in table {
        let proxy = Proxy::socks_refusing(reply);
        let sandbox = Sandbox::new();
        let url = format!("socks5h://127.0.0.1:{}", proxy.port());
        let outcome = sandbox.haul().args(["--json", "--retry", "1", "--proxy", &url]).arg(ELSEWHERE).run();
        outcome.assert_failed(code).assert_says("proxy").assert_says(said);
        assert_eq!(tried_again(&outcome), code == 6, "{reply}: {outcome}");
        assert!(proxy.heads().iter().all(|head| head == "server.test:443"), "{reply}: {outcome}");
    }
}

#[test]
fn a_wrong_password_for_socks_is_told_at_once() {
    let server = Server::serve(PAYLOAD).start();
    let proxy = Proxy::socks_for("me", "p@:w");
    let at = format!("127.0.0.1:{}", proxy.port());
    let run = |proxy: &str| {
        let sandbox = Sandbox::new();
        sandbox.haul().args(["--json", "--proxy", proxy]).arg(server.url("/file.bin")).run()
    };
    run(&format!("socks5://me:p%40:w@{at}")).assert_ok();
    let before = proxy.heads().len();
    let outcome = run(&format!("socks5://me:S3CR@{at}"));
    outcome.assert_failed(4).assert_says("user name and password");
    assert!(!outcome.said().contains("S3CR"), "{outcome}");
    run(&format!("socks5://{at}")).assert_failed(4).assert_says("wants credentials");
    let heads = proxy.heads();
    assert!(!tried_again(&outcome), "{outcome}");
    assert!(heads[before..].iter().all(|head| ["wrong password", "no method"].contains(&head.as_str())));
    let proxy = Proxy::socks_refusing(0xff);
    run(&format!("http://127.0.0.1:{}", proxy.port())).assert_failed_as_one_of(&[5, 6]);
}

#[test]
fn a_proxy_is_used_or_refused_by_name_and_never_passed_over() {
    let server = Server::serve(PAYLOAD).start();
    // No program listens there.
    let used = [
        "http://127.0.0.1:1 ",
        " http://127.0.0.1:1",
        "SOCKS5H://127.0.0.1:1",
        "socks://127.0.0.1:1/",
        "http://me:p^w@127.0.0.1:1",
        "http://me:p|w@127.0.0.1:1",
        "http://me:p\u{e4}w@127.0.0.1:1",
        "http://me:p w@127.0.0.1:1",
        "127.0.0.1:1",
    ];
    let refused = [
        "foo",
        "socks5h//127.0.0.1:1",
        "socks5h:/127.0.0.1:1",
        "http:/127.0.0.1:1",
        "http://[::bad",
        "127.0.0.1:1:1",
        "ftp://127.0.0.1:1",
        "http://pro xy:1",
        "socks4://127.0.0.1:1",
    ];
    let cases = used.map(|proxy| (proxy, 6)).into_iter().chain(refused.map(|proxy| (proxy, 2)));
    for (proxy, code) in cases {
        let sandbox = Sandbox::new();
        let haul = || sandbox.haul().args(["--retry", "0"]).arg(server.url("/file.bin"));
        std::fs::write(sandbox.root().join("proxy.txt"), format!("{proxy}\n")).unwrap();
        let outcomes = [
            ("--proxy", haul().args(["--proxy", proxy]).run()),
            ("--proxy", haul().args(["--proxy", "@../proxy.txt"]).run()),
            ("ALL_PROXY", haul().env("ALL_PROXY", proxy).run()),
            ("http_proxy", haul().env("http_proxy", proxy).run()),
        ];
        for (name, outcome) in outcomes {
            assert_eq!(outcome.code, Some(code), "{proxy:?} by {name}: {outcome}");
            outcome.assert_says(if code == 2 { name } else { "proxy" });
        }
        assert!(server.requests().is_empty(), "{proxy:?} was passed over");
        sandbox.assert_empty();
    }
}

#[test]
fn the_proxy_of_a_desktop_is_one_of_socks_5() {
    let server = Server::serve(PAYLOAD).start();
    let proxy = Proxy::socks();
    let sandbox = Sandbox::new();
    let named = format!("socks://127.0.0.1:{}/", proxy.port());
    sandbox.haul().env("all_proxy", named).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(!proxy.heads().is_empty());
}

#[test]
fn exceptions_hold_for_addresses_as_for_names() {
    let server = Server::serve(Payload::new(202, 1000)).start();
    let sandbox = Sandbox::new();
    let port = server.port();
    let except =
        ["*", "127.0.0.*", "127.0.0.0/8", "127.0.0.1", "a.test, 127.0.0.1", &format!("127.0.0.1:{port}")];
    for (number, list) in except.into_iter().enumerate() {
        let haul =
            |name: String| sandbox.haul().args(["--retry", "0", "-o", &name]).arg(server.url("/file.bin"));
        let flag = haul(format!("flag{number}")).args(["--proxy", "http://127.0.0.1:1", "--noproxy", list]);
        flag.run().assert_ok();
        let variables =
            haul(format!("env{number}")).env("http_proxy", "http://127.0.0.1:1").env("NO_PROXY", list);
        variables.run().assert_ok();
    }
    let odd = sandbox.haul().args(["--noproxy", "10.0.0.0/99"]).arg(server.url("/file.bin")).run();
    odd.assert_failed(2).assert_says("--noproxy");
}

#[test]
fn a_proxy_that_speaks_another_protocol_is_told_from_one_that_is_down() {
    let authority = Authority::new();
    let tls = Server::serve(PAYLOAD).tls(authority.config(&["127.0.0.1"])).start();
    let plain = Proxy::answering(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let table = [
        (format!("https://127.0.0.1:{}", plain.port()), 7, "does not speak TLS", "http://"),
        (format!("http://127.0.0.1:{}", tls.port()), 7, "speaks TLS", "https://"),
    ];
    for (proxy, code, said, hint) in table {
        for url in [ELSEWHERE, "http://server.test/file.bin"] {
            let sandbox = Sandbox::new();
            let outcome = sandbox.haul().args(["--proxy", &proxy]).arg(url).run();
            outcome.assert_failed(code).assert_says("proxy").assert_says(said).assert_says(hint);
            assert!(!outcome.said().contains("InvalidContentType"), "{outcome}");
        }
    }
}
