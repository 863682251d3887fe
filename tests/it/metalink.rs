//! `--metalink`: a document lists files with their sources and digests.

use crate::resume::killed_after;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(311, 8);

fn document(files: &[(&str, &[String], Option<&str>)]) -> String {
    let mut text =
        String::from("<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n");
    for (name, urls, hash) in files {
        text.push_str(&format!("<file name=\"{name}\">"));
        text.extend(hash.map(|hash| format!("<hash type=\"sha-256\">{hash}</hash>")));
        for (rank, url) in urls.iter().enumerate() {
            text.push_str(&format!("<url priority=\"{}\">{url}</url>", rank + 1));
        }
        text.push_str("</file>\n");
    }
    text + "</metalink>\n"
}

#[test]
fn a_file_comes_from_all_its_sources_under_its_own_name_and_verified() {
    let (one, two) =
        (Server::serve(PAYLOAD).rate(20 * MIB).start(), Server::serve(PAYLOAD).rate(20 * MIB).start());
    let sandbox = Sandbox::new();
    let urls = [one.url("/x?mirror=1"), two.url("/y")];
    sandbox.write("d.meta4", document(&[("disk.img", &urls, Some(&PAYLOAD.sha256_hex()))]));
    let outcome = sandbox.haul().args(["--json", "-x", "4", "-k", "1M", "--metalink", "d.meta4"]).run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
    assert_eq!(outcome.done_event()["sources"].as_array().map(Vec::len), Some(2), "{outcome}");
    assert!(one.body_bytes() > 0 && two.body_bytes() > 0);
}

#[test]
fn the_first_source_may_be_gone() {
    let gone = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let urls = [gone.url("/x"), server.url("/x")];
    sandbox.write("d.meta4", document(&[("disk.img", &urls, Some(&PAYLOAD.sha256_hex()))]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
}

// curl CVE-2021-22922: a file with the wrong digest must not stay.
#[test]
fn a_wrong_digest_lets_no_file_appear() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let wrong = Payload::mib(312, 8).sha256_hex();
    sandbox.write("d.meta4", document(&[("disk.img", &[server.url("/x")], Some(&wrong))]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_failed(12);
    sandbox.assert_absent("disk.img");
}

#[test]
fn without_a_digest_no_second_source_is_believed() {
    let (one, two) = (Server::serve(PAYLOAD).start(), Server::serve(Payload::mib(313, 8)).start());
    let sandbox = Sandbox::new();
    sandbox.write("d.meta4", document(&[("disk.img", &[one.url("/x"), two.url("/x")], None)]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
    assert!(two.requests().is_empty());
}

// wget2 CVE-2025-69194
#[test]
fn no_name_leads_out_of_the_directory_and_nothing_is_fetched_then() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    for name in ["../evil", "/tmp/evil", "a/../../evil", "..", "&#46;&#46;/evil"] {
        let (fine, evil) = ([server.url("/fine")], [server.url("/evil")]);
        sandbox.write("d.meta4", document(&[("fine", &fine, None), (name, &evil, None)]));
        let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
        outcome.assert_failed(2);
        outcome.assert_says("line 4");
    }
    assert!(server.requests().is_empty());
    assert_eq!(sandbox.entries(), ["d.meta4"]);
}

// curl CVE-2021-22925: what is for the document's server is not for every mirror in it.
#[test]
fn what_is_secret_goes_to_the_server_of_the_document_and_to_no_other() {
    let other = Server::serve(PAYLOAD).start();
    let home = Server::serve(PAYLOAD).start();
    let digest = PAYLOAD.sha256_hex();
    let text = document(&[
        ("a", &[other.url("/a"), home.url("/a")], Some(&digest)),
        ("b", &[home.url("/b"), other.url("/b")], Some(&digest)),
    ]);
    home.handle_with(move |request, exchange| match request.path() {
        "/d.meta4" => exchange.send(&Answer::text(200, &text)),
        _ => exchange.serve(),
    });
    let sandbox = Sandbox::new();
    let secrets = ["-u", "me:S3CR", "-H", "X-Key: S3CR"];
    sandbox.haul().args(secrets).args(["--metalink", &home.url("/d.meta4")]).run().assert_ok();
    for name in ["a", "b"] {
        sandbox.assert_ok_file(&PAYLOAD, name);
    }
    assert!(!other.requests().is_empty());
    assert!(other.requests().iter().all(|record| !record.has("authorization") && !record.has("x-key")));
    for path in ["/d.meta4", "/b"] {
        let asked: Vec<_> = home.requests().into_iter().filter(|record| record.path() == path).collect();
        assert!(
            !asked.is_empty() && asked.iter().all(|record| record.has("x-key")),
            "{path}: {}",
            home.describe()
        );
    }
}

#[test]
fn from_a_file_no_source_hears_of_anything() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let digest = PAYLOAD.sha256_hex();
    sandbox.write("d.meta4", document(&[("a", &[server.url("/a"), server.url("/b")], Some(&digest))]));
    sandbox.write("netrc", "machine 127.0.0.1 login me password S3CR");
    sandbox.write("cookies", "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tS3CR\n");
    // Secrets that need a URL have none here; with one they are for that.
    let secret = ["-H", "X-Key: S3CR", "--metalink", "d.meta4"];
    sandbox.haul().args(secret).run().assert_failed(2);
    let own = Server::serve(PAYLOAD).start();
    let haul = sandbox.haul().args(["--netrc-file", "netrc", "-b", "cookies"]).args(secret);
    haul.arg(own.url("/own")).run().assert_ok();
    for name in ["a", "own"] {
        sandbox.assert_ok_file(&PAYLOAD, name);
    }
    assert!(own.requests().iter().all(|record| record.has("x-key") && record.has("cookie")));
    assert!(!server.requests().is_empty());
    assert!(server.requests().iter().all(|record| !record.contains("S3CR") && !record.has("authorization")));
}

#[test]
fn into_a_pipe_a_file_comes_from_its_first_source() {
    let (one, two) = (Server::serve(PAYLOAD).start(), Server::serve(PAYLOAD).start());
    let sandbox = Sandbox::new();
    let urls = [one.url("/x"), two.url("/x")];
    sandbox.write("d.meta4", document(&[("disk.img", &urls, Some(&PAYLOAD.sha256_hex()))]));
    let outcome = sandbox.haul().args(["--metalink", "d.meta4", "-o", "-"]).run();
    outcome.assert_ok();
    PAYLOAD.assert_is(&outcome.stdout);
    assert!(two.requests().is_empty());
}

#[test]
fn what_is_no_metalink_is_refused() {
    let sandbox = Sandbox::new();
    for text in
        ["", "<html/>", "http://host/x", "<metalink><file name=\"x\"><url>ftp://h/x</url></file></metalink>"]
    {
        sandbox.write("d.meta4", text);
        let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
        outcome.assert_failed(2);
        outcome.assert_says("d.meta4");
    }
}

#[test]
fn the_command_line_names_the_file_if_it_is_one() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("d.meta4", document(&[("disk.img", &[server.url("/x")], Some(&PAYLOAD.sha256_hex()))]));
    sandbox.haul().args(["--metalink", "d.meta4", "-o", "mine"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "mine");
    sandbox.haul().args(["--metalink", "d.meta4", "-d", "below"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "below/disk.img");
}

#[test]
fn directories_in_a_name_are_made_below_the_users() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("d.meta4", document(&[("sub/deep/x", &[server.url("/x")], None)]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "sub/deep/x");
    sandbox.haul().args(["--metalink", "d.meta4", "-d", "mine"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "mine/sub/deep/x");
    sandbox.write("list", format!("{}\n  out=a/b\n  dir=c\n", server.url("/y")));
    sandbox.haul().args(["-i", "list"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "c/a/b");
}

fn sized(name: &str, size: u64, urls: &[String]) -> String {
    let plain = document(&[(name, urls, None)]);
    plain.replace("<url priority", &format!("<size>{size}</size><url priority"))
}

#[test]
fn a_source_with_another_length_than_the_document_states_is_refused() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("d.meta4", sized("disk.img", PAYLOAD.len, &[server.url("/x")]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
    for size in [PAYLOAD.len - 1, PAYLOAD.len + 1, 0] {
        server.forget();
        sandbox.write("d.meta4", sized("other.img", size, &[server.url("/x")]));
        let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
        outcome.assert_failed(8);
        outcome.assert_says(&format!("the one that is wanted has {size}"));
        sandbox.assert_absent("other.img");
        assert!(server.body_bytes() < 6 * MIB, "{}", server.describe());
    }
}

#[test]
fn a_source_that_does_not_say_its_length_is_refused_where_one_is_stated_and_a_mirror_takes_over() {
    let vague = Server::serve(PAYLOAD).ending_with_its_connection(PAYLOAD.len).start();
    let sandbox = Sandbox::new();
    sandbox.write("d.meta4", sized("one", PAYLOAD.len, &[vague.url("/x")]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_failed(5);
    sandbox.assert_absent("one");
    let server = Server::serve(PAYLOAD).start();
    let urls = [vague.url("/x"), server.url("/x")];
    let text = document(&[("two", &urls, Some(&PAYLOAD.sha256_hex()))]);
    sandbox.write("d.meta4", text.replace("<hash", &format!("<size>{}</size><hash", PAYLOAD.len)));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "two");
}

#[test]
fn a_file_that_is_there_with_another_size_is_not_the_wanted_one() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/disk.img")).run().assert_ok();
    sandbox.write("d.meta4", sized("disk.img", PAYLOAD.len - 1, &[server.url("/disk.img")]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_failed(10);
    sandbox.write("d.meta4", sized("disk.img", PAYLOAD.len, &[server.url("/disk.img")]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
}

#[test]
fn what_a_document_named_hears_of_nothing_when_it_is_resumed_either() {
    for command in [vec!["resume", "."], vec!["verify", "--repair", "disk.img"]] {
        let server = Server::serve(PAYLOAD).start();
        let gate = Gate::after(4 * MIB);
        server.set_gate(Some(&gate));
        let sandbox = Sandbox::new();
        sandbox.write("d.meta4", document(&[("disk.img", &[server.url("/x")], None)]));
        sandbox.write("netrc", "machine 127.0.0.1 login me password S3CR");
        let running = sandbox.haul().args(["--json", "--metalink", "d.meta4"]).spawn();
        running.wait_for_durable(MIB);
        running.kill();
        server.recover();
        let secrets = ["--netrc-file", "netrc", "-H", "X-Key: S3CR"];
        sandbox.haul().args(command).args(secrets).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "disk.img");
        assert!(server.requests().iter().all(|record| !record.has("authorization") && !record.has("x-key")));
    }
}

#[test]
fn what_was_begun_with_another_length_is_not_gone_on_with() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    killed_after(&sandbox, &server, 4 * MIB, &[]);
    sandbox.write("d.meta4", sized("file.bin", PAYLOAD.len + 1, &[server.url("/file.bin")]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_failed(8);
    sandbox.assert_kept("file.bin");
}

#[test]
fn a_mirror_takes_over_from_a_source_of_another_length() {
    let wrong = Server::serve(Payload::mib(314, 9)).start();
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let urls = [wrong.url("/x"), server.url("/x")];
    let text = document(&[("disk.img", &urls, Some(&PAYLOAD.sha256_hex()))]);
    sandbox.write("d.meta4", text.replace("<hash", &format!("<size>{}</size><hash", PAYLOAD.len)));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
}

#[test]
fn what_is_no_url_says_nothing_of_the_others_and_a_remark_cuts_nothing() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let urls = ["http://".to_owned(), server.url("/x<!-- y -->.img")];
    sandbox.write("d.meta4", document(&[("disk.img", &urls, None)]));
    sandbox.haul().args(["--metalink", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "disk.img");
    assert!(server.requests().iter().all(|record| record.path() == "/x.img"), "{}", server.describe());
}

#[test]
fn commands_that_have_files_of_their_own_take_no_list() {
    let sandbox = Sandbox::new();
    let info = ["info", "http://127.0.0.1:9/x"];
    for command in [["resume", ".", "--metalink"], ["resume", ".", "-i"], [info[0], info[1], "-i"]] {
        let outcome = sandbox.haul().args(command).arg("nowhere").run();
        outcome.assert_failed(2);
        outcome.assert_says("takes no list");
    }
}

#[test]
fn pieces_that_cannot_be_those_of_the_file_are_refused_with_their_line_before_any_traffic() {
    let server = Server::serve(Payload::new(77, 9000)).start();
    let sandbox = Sandbox::new();
    for (pieces, told) in [
        ("length=\"0\" type=\"sha-256\"", "length \"0\" of the pieces is no number of bytes above 0"),
        ("length=\"36893488147419103232\" type=\"sha-256\"", "is no number of bytes above 0"),
        (
            "length=\"4096\" type=\"sha-256\"",
            "1 digests of pieces, and a file of 9000 bytes has 3 pieces of 4096 bytes",
        ),
    ] {
        let hash = "0".repeat(64);
        let url = server.url("/file.bin");
        sandbox.write(
            "d.meta4",
            format!("<metalink>\n<file name=\"f\"><size>9000</size>\n<pieces {pieces}><hash>{hash}</hash></pieces><url>{url}</url></file></metalink>"),
        );
        let outcome = sandbox.haul().args(["--metalink", "d.meta4"]).run();
        outcome.assert_failed(2).assert_says("d.meta4: line 3: ").assert_says(told);
    }
    assert!(server.requests().is_empty());
}
