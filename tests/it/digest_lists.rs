//! `--checksum-file`: the file must have the digest listed with its name.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(301, 4);
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Serves the payload, and one text at one path.
fn serving(path: &'static str, text: impl Into<String>) -> Server {
    let text = text.into();
    Server::serve(PAYLOAD)
        .handler(move |request, exchange| match request.path() == path {
            true => exchange.send(&Answer::text(200, &text)),
            false => exchange.serve(),
        })
        .start()
}

#[test]
fn the_line_of_the_file_counts_and_a_wrong_one_lets_nothing_through() {
    let right = format!("{ZERO}  other.bin\n{} *file.bin\n", PAYLOAD.sha256_hex());
    let wrong = format!("SHA256 (file.bin) = {ZERO}\nSHA256 (other.bin) = {}\n", PAYLOAD.sha256_hex());
    for (text, code) in [(right, 0), (wrong, 12)] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        sandbox.write("SUMS", text);
        let outcome = sandbox.haul().args(["--checksum-file", "SUMS"]).arg(server.url("/pub/file.bin")).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        match code {
            0 => sandbox.assert_ok_file(&PAYLOAD, "file.bin"),
            _ => {
                outcome.assert_says(&format!("SUMS states sha256:{ZERO}, and the file has"));
                sandbox.assert_absent("file.bin");
            }
        }
    }
}

#[test]
fn a_list_is_fetched_from_where_it_is_published_and_serves_several_files() {
    let digest = PAYLOAD.sha256_hex();
    let server = serving("/pub/SHA256SUMS", format!("{digest}  a.bin\n{digest}  ./b.bin\n"));
    let sandbox = Sandbox::new();
    let list = server.url("/pub/SHA256SUMS");
    let files = [server.url("/pub/a.bin"), server.url("/pub/b.bin")];
    let outcome = sandbox.haul().args(["--json", "--checksum-file", &list]).args(&files).run();
    outcome.assert_ok();
    for name in ["a.bin", "b.bin"] {
        sandbox.assert_ok_file(&PAYLOAD, name);
    }
    assert_eq!(sandbox.entries(), ["a.bin", "b.bin"]);
    assert!(outcome.events_named("done").iter().all(|event| event["digests"].to_string().contains(&digest)));
}

#[test]
fn a_file_that_is_not_in_the_list_is_not_fetched() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("SUMS", format!("{ZERO}  other.bin\n{ZERO}  third.bin\n"));
    let url = server.url("/file.bin");
    let outcome = sandbox.haul().args(["--checksum-file", "SUMS"]).arg(&url).run();
    outcome.assert_failed(2);
    outcome.assert_says("SUMS states no digest of \"file.bin\"");
    sandbox.write("SUMS", "<html>404</html>");
    let outcome = sandbox.haul().args(["--checksum-file", "SUMS"]).arg(&url).run();
    outcome.assert_failed(2);
    outcome.assert_says("states no digest at all");
    sandbox.haul().args(["--checksum-file", "missing"]).arg(&url).run().assert_failed(2);
    let gone = serving("/x", "").url("/nowhere");
    sandbox.haul().args(["--retry", "0", "--checksum-file", &gone]).arg(&url).run().assert_failed(6);
    assert!(server.requests().is_empty(), "{}", server.describe());
    assert_eq!(sandbox.entries(), ["SUMS"]);
}

#[test]
fn a_list_that_is_missing_on_the_server_says_so_with_its_url() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/SUMS" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let list = server.url("/SUMS");
    let outcome = sandbox.haul().args(["--checksum-file", &list]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(3);
    outcome.assert_says(&list);
    sandbox.assert_empty();
}

#[test]
fn an_endless_list_is_given_up() {
    let server = Server::serve(Payload::mib(302, 64)).start();
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["--checksum-file", &server.url("/SUMS")]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(5);
    outcome.assert_says("too large");
    assert!(server.body_bytes() < 32 * MIB, "{}", server.describe());
    sandbox.assert_empty();
}

#[test]
fn a_digest_alone_is_for_one_file_and_for_no_two() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin.sha256", format!("{}\n", PAYLOAD.sha256_hex()));
    let list = ["--checksum-file", "file.bin.sha256"];
    let both = [server.url("/a"), server.url("/b")];
    sandbox.haul().args(list).args(&both).run().assert_failed(2);
    assert!(server.requests().is_empty());
    sandbox.haul().args(list).arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    let verified = sandbox.haul().args(["verify", "file.bin"]).args(list).run();
    verified.assert_ok();
    assert!(verified.stdout_text().contains(&PAYLOAD.sha256_hex()), "{verified}");
}

#[test]
fn what_is_secret_goes_to_a_list_of_the_same_origin_only() {
    let digest = PAYLOAD.sha256_hex();
    let own = serving("/SUMS", format!("{digest}  file.bin\n"));
    let other = serving("/SUMS", format!("{digest}  file.bin\n"));
    for list in [&own, &other] {
        let sandbox = Sandbox::new();
        let haul = sandbox.haul().args([
            "-u",
            "me:S3CR",
            "-H",
            "X-Key: S3CR",
            "--checksum-file",
            &list.url("/SUMS"),
        ]);
        haul.arg(own.url("/file.bin")).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
    let asked_for_list =
        |server: &Server| server.requests().into_iter().find(|record| record.path() == "/SUMS").unwrap();
    assert!(asked_for_list(&own).has("authorization") && asked_for_list(&own).has("x-key"));
    assert!(!asked_for_list(&other).has("authorization") && !asked_for_list(&other).has("x-key"));
}

#[test]
fn the_name_of_a_list_is_no_guess_at_what_its_digests_are() {
    let digest = PAYLOAD.sha256_hex();
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    for list in ["tool-1.0b2.tar.gz.sha256", "web2.txt"] {
        sandbox.write(list, format!("{digest}  file.bin\n"));
        let haul = sandbox.haul().args(["--if-exists", "overwrite", "--checksum-file", list]);
        haul.arg(server.url("/file.bin")).run().assert_ok();
    }
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
}

#[test]
fn a_list_may_come_through_a_pipe_and_knows_a_file_by_the_name_it_is_saved_under() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let list = format!("{ZERO}  other\n{}  disk.img\n", PAYLOAD.sha256_hex());
    let haul = sandbox.haul().args(["--json", "--checksum-file", "-", "-o", "disk.img"]).stdin(list);
    let outcome = haul.arg(server.url("/download?id=7")).run();
    outcome.assert_ok();
    assert!(outcome.done_event()["digests"].to_string().contains(&PAYLOAD.sha256_hex()));
}

#[test]
fn a_repair_takes_the_digest_of_the_file_that_was_begun() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let gate = Gate::after(2 * MIB);
    server.set_gate(Some(&gate));
    let running = sandbox.haul().args(["--json", "-o", "mine"]).arg(server.url("/file.bin")).spawn();
    running.wait_for_durable(MIB);
    running.kill();
    server.recover();
    sandbox.write("SUMS", format!("{}  file.bin\n{ZERO}  x\n", PAYLOAD.sha256_hex()));
    sandbox.haul().args(["verify", "--repair", "mine", "--checksum-file", "SUMS"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "mine");
}

#[test]
fn to_verify_a_file_takes_no_configuration_and_no_secrets() {
    let sandbox = Sandbox::new();
    let config = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "nonsense = 1\n").unwrap();
    sandbox.write("file.bin", PAYLOAD.all());
    sandbox.haul().args(["verify", "file.bin", "--sha256", &PAYLOAD.sha256_hex()]).run().assert_ok();
}

#[test]
fn a_page_in_the_place_of_a_list_is_a_failure_of_the_server() {
    let server = serving("/SUMS", "<html><body>log in first</body></html>");
    let sandbox = Sandbox::new();
    let haul = sandbox.haul().args(["--checksum-file", &server.url("/SUMS")]).arg(server.url("/file.bin"));
    let outcome = haul.run();
    outcome.assert_failed(5);
    outcome.assert_says(&server.url("/SUMS"));
    sandbox.assert_empty();
}

#[test]
fn the_standard_input_is_read_once() {
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.haul().args(["-i", "-", "--checksum-file", "-"]).stdin("http://127.0.0.1:9/x\n").run();
    outcome.assert_failed(2);
    outcome.assert_says("only once");
}
