//! Proxies: what they are told, what servers are told, and that neither hears what is meant for the other.

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
        proxy.heads().iter().all(|head| head.starts_with("GET http://127.0.0.1:")),
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
