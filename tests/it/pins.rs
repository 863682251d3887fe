//! `--pin`: a server is accepted only with a public key that was named before, besides its certificate or in place of it.

use crate::support::tls::{self_signed, self_signed_and_pin};
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(941, 8);
const SMALL: Payload = Payload::new(942, 9000);
const HERE: &[&str] = &["127.0.0.1", "localhost"];
const OTHER: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn configure(sandbox: &Sandbox, text: &str) {
    let directory = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.toml"), text).unwrap();
}

#[test]
fn one_of_the_pinned_keys_is_accepted_on_every_connection() {
    let authority = Authority::new();
    let (config, pin) = authority.config_and_pin(HERE);
    let server = Server::serve(PAYLOAD).rate(4 * MIB).tls(config).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    for pins in [vec![format!("{OTHER};{pin}")], vec![OTHER.to_owned(), pin]] {
        let mut haul =
            sandbox.haul().args(["-x", "4", "-k", "1M", "--if-exists", "overwrite", "--cacert"]).arg(&ca);
        for pin in pins {
            haul = haul.args(["--pin", &pin]);
        }
        haul.arg(server.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(server.connections() >= 4, "{}", server.describe());
    }
}

#[test]
fn another_key_is_refused_before_any_request_and_both_are_shown() {
    let authority = Authority::new();
    let (config, pin) = authority.config_and_pin(HERE);
    let server = Server::serve(SMALL).tls(config).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let outcome =
        sandbox.haul().args(["--pin", OTHER, "--cacert"]).arg(&ca).arg(server.url("/file.bin")).run();
    outcome.assert_failed(7).assert_says(&format!("127.0.0.1 did not prove who it is: its key is {pin}"));
    outcome.assert_says(&format!("pinned is {OTHER}")).assert_says("--pin");
    assert!(outcome.elapsed.as_secs() < 10, "another key is not worth retrying: {outcome}");
    assert!(server.requests().is_empty());
    sandbox.assert_empty();
}

#[test]
fn a_pin_counts_besides_the_certificate_and_alone_with_insecure() {
    let (config, pin) = self_signed_and_pin(HERE);
    let server = Server::serve(SMALL).tls(config).start();
    let sandbox = Sandbox::new();
    let url = server.url("/file.bin");
    sandbox
        .haul()
        .args(["--pin", &pin, &url])
        .run()
        .assert_failed(7)
        .assert_says("no issuer that this machine trusts");
    sandbox.haul().args(["--insecure", "--pin", OTHER, &url]).run().assert_failed(7).assert_says(&pin);
    assert!(server.requests().is_empty());
    let outcome = sandbox.haul().args(["--insecure", "--pin", &pin, &url]).run();
    outcome.assert_ok().assert_says("nothing but the pinned keys");
    sandbox.assert_ok_file(&SMALL, "file.bin");
}

#[test]
fn a_later_connection_that_shows_another_key_gets_no_request() {
    let authority = Authority::new();
    let ((good, pin), (other, _)) = (authority.config_and_pin(HERE), authority.config_and_pin(HERE));
    let server = Server::serve(PAYLOAD)
        .rate(4 * MIB)
        .tls_by_connection(move |connection| if connection == 0 { good.clone() } else { other.clone() })
        .start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let haul =
        sandbox.haul().args(["-x", "4", "-k", "1M", "--retry", "1", "--pin", &pin, "--cacert"]).arg(ca);
    haul.arg(server.url("/file.bin")).run().assert_failed(7);
    sandbox.assert_absent("file.bin");
    assert!(server.connections() >= 2, "{}", server.describe());
    assert!(server.requests().iter().all(|record| record.connection == 0), "{}", server.describe());
}

#[test]
fn the_target_of_a_redirect_must_have_a_pinned_key_too() {
    let authority = Authority::new();
    let (config, pin) = authority.config_and_pin(HERE);
    let target = Server::serve(SMALL).tls(authority.config(HERE)).start();
    let location = target.url("/real");
    let server =
        Server::serve(SMALL).tls(config).behave(move |_, _| Reply::Redirect(302, location.clone())).start();
    let sandbox = Sandbox::new();
    let ca = authority.write_to(&sandbox);
    let haul = sandbox.haul().args(["--pin", &pin, "--cacert"]).arg(ca);
    haul.arg(server.url("/file.bin")).run().assert_failed(7);
    assert!(!server.requests().is_empty() && target.requests().is_empty());
    sandbox.assert_empty();
}

#[test]
fn a_server_without_tls_has_no_key_to_show() {
    let server = Server::serve(SMALL).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--pin", OTHER]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(7).assert_says("over http there is none").assert_says("https://");
    assert_eq!(server.connections(), 0, "{}", server.describe());
}

#[test]
fn pins_of_a_host_are_for_that_host_alone_and_a_flag_takes_their_place() {
    let (config, pin) = self_signed_and_pin(HERE);
    let server = Server::serve(SMALL).tls(config).start();
    let sandbox = Sandbox::new();
    let text = |host: &str, pin: &str| format!("[host.\"{host}\"]\ninsecure = true\npin = \"{pin}\"\n");
    configure(&sandbox, &(text("localhost", &pin) + &text("127.0.0.1", OTHER)));
    // A session with the server under one name is none under the other.
    let (right, wrong) = (format!("{}/a", server.origin_as("localhost")), server.url("/b"));
    sandbox.haul().args(["-j", "1", &right, &wrong]).run().assert_failed(7).assert_says("127.0.0.1");
    sandbox.assert_ok_file(&SMALL, "a");
    sandbox.assert_absent("b");
    sandbox.haul().args(["--pin", &pin, &wrong]).run().assert_ok();
    let shown = sandbox.haul().arg("config").run();
    shown.assert_ok().assert_says(&format!("host.\"localhost\".pin = {pin}"));
    configure(&sandbox, &text("localhost", "sha256//short"));
    let outcome = sandbox.haul().arg(&right).run();
    outcome.assert_failed(2).assert_says("line 3: pin: ").assert_says("sha256// and the 44 characters");
}

#[test]
fn a_malformed_pin_is_told_with_the_form_before_any_traffic() {
    let server = Server::serve(SMALL).tls(self_signed(HERE)).start();
    let good = format!("{OTHER};");
    for pin in ["", "sha256//", &OTHER[8..], "sha1//AAAA", &good] {
        let outcome = Sandbox::new().haul().args(["--pin", pin]).arg(server.url("/file.bin")).run();
        outcome.assert_failed(2).assert_says("sha256//");
    }
    let outcome = Sandbox::new().haul().args(["--pinnedpubkey", OTHER]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(2).assert_says("--pin sha256//BASE64");
    assert_eq!(server.connections(), 0);
}
