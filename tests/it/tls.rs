//! HTTPS: trusted servers, and servers that never get a request.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::proxy::Proxy as Raw;
use crate::support::tls::{
    common_name_only, expired, for_clients_only, not_yet_valid, of_its_own, self_signed,
};
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(121, 8);
const HERE: &[&str] = &["127.0.0.1", "localhost"];

#[test]
fn a_certificate_of_a_named_authority_is_accepted() {
    let authority = Authority::new();
    let server = Server::serve(PAYLOAD).tls(authority.config(HERE)).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let outcome =
        sandbox.haul().args(["-x", "4", "-k", "1M", "--cacert"]).arg(ca).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_before_any_request() {
    let server = Server::serve(PAYLOAD).tls(Authority::new().config(HERE)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
    outcome.assert_failed(7);
    assert!(outcome.elapsed.as_secs() < 10, "a bad certificate is not worth retrying: {outcome}");
    sandbox.assert_empty();
    assert!(server.requests().is_empty());
}

#[test]
fn insecure_works_and_is_loud() {
    let server = Server::serve(PAYLOAD).tls(self_signed(HERE)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--insecure").arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let warning = outcome.stderr.to_lowercase();
    assert!(warning.contains("insecure") || warning.contains("certificate"), "no warning: {outcome}");
}

#[test]
fn insecure_is_not_remembered_by_the_next_run() {
    let server = Server::serve(PAYLOAD).tls(self_signed(HERE)).start();
    let sandbox = Sandbox::new();
    let gate = Gate::after(4 * MIB);
    server.set_gate(Some(&gate));
    let running = sandbox.haul().args(["--json", "--insecure"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(MIB);
    running.kill();
    server.recover();
    server.forget();
    sandbox.haul().arg(server.url("/file.bin")).run().assert_failed(7);
    assert!(server.requests().is_empty());
    sandbox.assert_kept("file.bin");
}

// T065
#[test]
fn every_bad_certificate_is_refused_before_any_request() {
    let authority = Authority::new();
    let table: Vec<(&str, Arc<ServerConfig>)> = vec![
        ("self-signed", self_signed(HERE)),
        ("expired", authority.config_with(HERE, expired)),
        ("not yet valid", authority.config_with(HERE, not_yet_valid)),
        ("another host", authority.config(&["example.org", "10.0.0.1"])),
        ("name in the subject only", authority.config_with(&[], common_name_only)),
        ("for clients only", authority.config_with(HERE, for_clients_only)),
        ("wide wildcard", authority.config(&["*.com", "*"])),
    ];
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    for (what, config) in table {
        let server = Server::serve(PAYLOAD).tls(config).start();
        // A wildcard can only be tried against a name.
        let origin = if what == "wide wildcard" { server.origin_as("localhost") } else { server.origin() };
        let url = format!("{origin}/file.bin");
        let outcome = sandbox.haul().args(["--retry", "0", "--cacert"]).arg(&ca).arg(url).run();
        assert_eq!(outcome.code, Some(7), "{what}: {outcome}");
        assert!(server.requests().is_empty(), "{what}: a request was sent");
        sandbox.assert_empty();
    }
}

// T065
#[test]
fn every_connection_is_checked_not_only_the_first() {
    let authority = Authority::new();
    let good = authority.config(HERE);
    let bad = authority.config(&["example.org"]);
    let server = Server::serve(PAYLOAD)
        .rate(4 * MIB)
        .tls_by_connection(move |connection| if connection == 0 { good.clone() } else { bad.clone() })
        .start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let outcome = sandbox
        .haul()
        .args(["-x", "4", "-k", "1M", "--retry", "1", "--cacert"])
        .arg(ca)
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_failed(7);
    sandbox.assert_absent("file.bin");
    assert!(server.connections() >= 2, "{}", server.describe());
    assert!(server.requests().iter().all(|record| record.connection == 0), "{}", server.describe());
}

#[test]
fn a_plain_http_server_behind_an_https_url_is_a_tls_failure() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin").replace("http:", "https:");
    let outcome = sandbox
        .haul()
        .args(["--retry", "0", "--connect-timeout", "1s", "--first-byte-timeout", "1s"])
        .arg(url)
        .run();
    outcome.assert_failed_as_one_of(&[6, 7]);
    sandbox.assert_empty();
}

#[test]
fn a_body_cut_without_the_end_of_tls_is_incomplete() {
    let authority = Authority::new();
    let payload = Payload::mib(122, 2);
    let server = Server::serve(payload)
        .tls(authority.config(HERE))
        .handler(move |request, exchange| {
            exchange.send_head(200, &[("Content-Length", &payload.len.to_string()), ("ETag", "\"v1\"")]);
            if request.is_get() {
                exchange.send_payload(0..payload.len / 2);
            }
            exchange.reset();
        })
        .start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let outcome =
        sandbox.haul().args(["--retry", "1", "--cacert"]).arg(ca).arg(server.url("/file.bin")).run();
    outcome.assert_failed(6);
    sandbox.assert_absent("file.bin");
}

#[test]
fn the_committed_fixture_is_a_usable_authority_and_server() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
    let certificate = CertificateDer::from_pem_file(format!("{fixtures}/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{fixtures}/server-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let payload = Payload::new(123, 100_000);
    let server = Server::serve(payload).tls(Arc::new(config)).start();
    let sandbox = Sandbox::new();
    let ca = format!("{fixtures}/ca.pem");
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("{}/{host}", server.origin_as(host));
        sandbox.haul().args(["--cacert", &ca]).arg(url).run().assert_ok();
        sandbox.assert_ok_file(&payload, host);
    }
}

#[test]
fn a_server_that_wants_to_know_who_asks_is_shown_the_certificate() {
    let authority = Authority::new();
    let server = Server::serve(PAYLOAD).tls(authority.config_for_known_clients(HERE)).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let [both, certificate, key] = authority.write_client(&sandbox);
    let haul = || sandbox.haul().args(["-x", "4", "-k", "1M", "--cacert"]).arg(&ca);
    let outcome = haul().arg(server.url("/nobody")).run();
    outcome.assert_failed(7);
    outcome.assert_says("--cert FILE");
    assert!(server.requests().is_empty());
    haul().arg("--cert").arg(&both).arg(server.url("/one")).run().assert_ok();
    haul().arg("--cert").arg(&certificate).arg("--key").arg(&key).arg(server.url("/two")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "one");
    sandbox.assert_ok_file(&PAYLOAD, "two");
}

#[test]
fn a_server_that_a_redirect_leads_to_is_not_told_who_asks() {
    let authority = Authority::new();
    let target = Server::serve(PAYLOAD).tls(authority.config_for_known_clients(HERE)).start();
    let location = target.url("/real");
    let origin = Server::serve(PAYLOAD)
        .tls(authority.config_for_known_clients(HERE))
        .behave(move |_, _| Reply::Redirect(302, location.clone()))
        .start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let [both, ..] = authority.write_client(&sandbox);
    let haul = sandbox.haul().arg("--cacert").arg(&ca).arg("--cert").arg(&both);
    haul.arg(origin.url("/file.bin")).run().assert_failed(7);
    assert!(!origin.requests().is_empty() && target.requests().is_empty());
    sandbox.assert_absent("file.bin");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_is_sent() {
    let authority = Authority::new();
    let server = Server::serve(PAYLOAD).tls(authority.config(HERE)).start();
    let sandbox = Sandbox::new();
    let [_, certificate, key] = authority.write_client(&sandbox);
    let [_, stranger, _] = {
        let other = Sandbox::new();
        Authority::new().write_client(&other).map(|path| std::fs::read(path).unwrap())
    };
    let stranger = sandbox.write("stranger.pem", stranger);
    let missing = sandbox.path("missing.pem");
    for (certificate, key) in [
        (&certificate, None),
        (&key, None),
        (&missing, None),
        (&certificate, Some(&missing)),
        (&stranger, Some(&key)),
    ] {
        let mut haul = sandbox.haul().arg("--cert").arg(certificate);
        if let Some(key) = key {
            haul = haul.arg("--key").arg(key);
        }
        let outcome = haul.arg(server.url("/file.bin")).run();
        outcome.assert_failed(2);
        outcome.assert_says(".pem");
    }
    sandbox.haul().arg("--key").arg(&key).arg(server.url("/file.bin")).run().assert_failed(2);
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_that_a_document_names_is_not_told_who_asks() {
    let authority = Authority::new();
    let server = Server::serve(PAYLOAD).tls(authority.config_for_known_clients(HERE)).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let [both, ..] = authority.write_client(&sandbox);
    let text = format!("<metalink><file name=\"x\"><url>{}</url></file></metalink>", server.url("/x"));
    sandbox.write("d.meta4", text);
    let haul = sandbox.haul().arg("--cacert").arg(&ca).arg("--cert").arg(&both);
    haul.args(["--metalink", "d.meta4"]).run().assert_failed(7);
    assert!(server.requests().is_empty());
}

/// A connection without a client certificate is not reused for a URL that may get it.
#[test]
fn whoever_is_named_later_is_told_who_asks_all_the_same() {
    let authority = Authority::new();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let [both, ..] = authority.write_client(&sandbox);
    let small = Payload::new(124, 1000);
    let target = Server::serve(small).tls(authority.config_for_curious_server(HERE)).start();
    let location = target.url("/real");
    let first = Server::serve(small)
        .tls(authority.config(HERE))
        .behave(move |_, _| Reply::Redirect(302, location.clone()))
        .start();
    let haul = sandbox.haul().arg("--cacert").arg(&ca).arg("--cert").arg(&both).args(["-j", "1"]);
    haul.arg(first.url("/one")).arg(target.url("/two")).run().assert_ok();
    let connection =
        |path: &str| target.requests().iter().find(|record| record.path() == path).unwrap().connection;
    assert_ne!(connection("/real"), connection("/two"), "{}", target.describe());
    // The other way round: a connection with the certificate is not reused for a redirect.
    target.forget();
    let haul = sandbox.haul().arg("--cacert").arg(&ca).arg("--cert").arg(&both).args(["-j", "1"]);
    haul.arg(target.url("/three")).arg(first.url("/four")).run().assert_ok();
    let connection =
        |path: &str| target.requests().iter().find(|record| record.path() == path).unwrap().connection;
    assert_ne!(connection("/real"), connection("/three"), "{}", target.describe());
}

#[test]
fn a_certificate_that_is_named_is_trusted_as_exactly_that_certificate() {
    let authority = Authority::new();
    let other = of_its_own(HERE, |_| {});
    let table = [
        ("self-signed", of_its_own(HERE, |_| {}), None, ""),
        ("of an authority that is not named", authority.config_and_pem_with(HERE, |_| {}), None, ""),
        ("another name", of_its_own(&["example.org"], |_| {}), Some(7), "for other names (example.org)"),
        ("no name but a common one", of_its_own(&[], common_name_only), Some(7), "subjectAltName"),
        ("expired", of_its_own(HERE, expired), Some(7), "expired"),
        ("not yet valid", of_its_own(HERE, not_yet_valid), Some(7), "not valid yet"),
        ("expired, of an authority", authority.config_and_pem_with(HERE, expired), Some(7), "expired"),
        (
            "another name, of an authority",
            authority.config_and_pem_with(&["example.org"], |_| {}),
            Some(7),
            "example.org",
        ),
        ("not the one that is named", (of_its_own(HERE, |_| {}).0, other.1), Some(7), "self-signed"),
    ];
    for (what, (config, pem), code, said) in table {
        let server = Server::serve(PAYLOAD).tls(config).start();
        let sandbox = Sandbox::new();
        let named = sandbox.root().join("server.pem");
        std::fs::write(&named, pem).unwrap();
        let outcome = sandbox.haul().arg("--cacert").arg(named).arg(server.url("/file.bin")).run();
        assert_eq!(outcome.code, Some(code.unwrap_or(0)), "{what}: {outcome}");
        outcome.assert_says(said);
        assert_eq!(server.requests().is_empty(), code.is_some(), "{what}");
    }
}

#[test]
fn what_stands_in_the_way_of_tls_is_said_in_words() {
    let alert = |code: u8| -> &'static [u8] { Box::leak(Box::new([0x15, 3, 3, 0, 2, 2, code])) };
    let table: [(&[u8], &str); 7] = [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "http://"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "does not speak TLS"),
        (alert(40), "cipher suites"),
        (alert(70), "too old"),
        (alert(71), "cipher suites"),
        (alert(112), "knows no host of this name"),
        (alert(116), "--cert FILE"),
    ];
    for (answer, said) in table {
        let server = Raw::answering(answer);
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg(format!("https://127.0.0.1:{}/file.bin", server.port())).run();
        outcome.assert_failed(7).assert_says(said);
        assert!(outcome.elapsed.as_secs() < 10, "it was tried again: {outcome}");
        assert!(!outcome.said().contains("InvalidContentType"), "{outcome}");
        sandbox.assert_empty();
    }
}

#[test]
fn a_server_that_wants_tls_is_told_from_one_that_talks_nonsense() {
    let server = Server::serve(PAYLOAD).tls(Authority::new().config(HERE)).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin").replace("https:", "http:");
    let outcome = sandbox.haul().arg(url).run();
    outcome.assert_failed(7).assert_says("speaks TLS").assert_says("https://");
    // One for the GET, and one for the parallel HEAD.
    assert!(server.connections() <= 2, "{}", server.describe());
    sandbox.assert_empty();
}

#[test]
fn a_server_that_hangs_up_without_a_word_may_want_tls() {
    let sandbox = Sandbox::new();
    let run = |server: Raw| {
        let url = format!("http://127.0.0.1:{}/file.bin", server.port());
        sandbox.haul().args(["--retry", "0"]).arg(url).run()
    };
    run(Raw::answering(b"")).assert_failed(6).assert_says("https://");
    let begun = run(Raw::answering(b"HTTP/1.1 200 OK\r\nContent-"));
    begun.assert_failed(6);
    assert!(!begun.said().contains("https://"), "{begun}");
}

#[test]
fn a_machine_without_authorities_is_told_how_to_get_them() {
    let authority = Authority::new();
    let server = Server::serve(PAYLOAD).tls(authority.config(HERE)).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let haul = || {
        let nowhere = sandbox.path("nowhere");
        sandbox
            .haul()
            .env("SSL_CERT_FILE", &nowhere)
            .env("SSL_CERT_DIR", &nowhere)
            .arg(server.url("/file.bin"))
    };
    let outcome = haul().run();
    outcome.assert_failed(7);
    for way in ["ca-certificates", "SSL_CERT_FILE", "--cacert FILE"] {
        outcome.assert_says(way);
    }
    haul().arg("--cacert").arg(&ca).run().assert_ok();
}
