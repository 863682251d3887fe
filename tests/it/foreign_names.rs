//! Names from untrusted sources: a URL, a list, a document or a response.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use crate::support::*;

const PAYLOAD: Payload = Payload::new(71, 50_000);

/// Saves one file under a name from a list, in one of its three forms.
fn named_by(form: &str, name: &str, url: &str, sandbox: &Sandbox) -> Outcome {
    let (flag, text) = match form {
        "aria2" => ("-i", format!("{url}\n out={name}\n")),
        "json" => ("-i", serde_json::json!({ "url": url, "output": name }).to_string()),
        _ => {
            let name: String = name.chars().map(|c| format!("&#{};", u32::from(c))).collect();
            let file = format!("<file name=\"{name}\"><url>{url}</url></file>");
            ("--metalink", format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{file}</metalink>"))
        }
    };
    let list = sandbox.home().join("list");
    fs::write(&list, text).unwrap();
    sandbox.haul().arg(flag).arg(&list).run()
}

const FORMS: [&str; 3] = ["aria2", "json", "metalink"];

#[test]
fn what_a_list_or_a_document_names_is_made_harmless_and_told() {
    let server = Server::serve(PAYLOAD).start();
    for (name, saved) in [
        (".bash_profile", "bash_profile"),
        (".ssh/authorized_keys", "ssh/authorized_keys"),
        ("-rf", "_-rf"),
        ("gpj.\u{202e}exe", "gpj.exe"),
        ("a\u{2028}b", "ab"),
        ("a\u{9b}31mb", "a31mb"),
        ("nul.txt", "_nul.txt"),
        ("x.PART/y", "x.PART_/y"),
    ] {
        for form in FORMS {
            let sandbox = Sandbox::new();
            let outcome = named_by(form, name, &server.url("/f"), &sandbox);
            outcome.assert_ok();
            PAYLOAD.assert_file_is(&sandbox.path(saved));
            let told = outcome.stderr.lines().any(|line| line.contains("line ") && line.contains(saved));
            assert!(told, "{form} {name:?}: {outcome}");
        }
    }
}

#[test]
fn a_name_with_colons_keeps_them() {
    let server = Server::serve(PAYLOAD).start();
    let names = ["log_2024-04-24T10:00:01Z.gz", "log_2024-04-24T11:00:01Z.gz"];
    let sandbox = Sandbox::new();
    sandbox.haul().args(names.map(|name| server.url(&format!("/{name}")))).run().assert_ok();
    assert_eq!(sandbox.entries(), names);
    for form in FORMS {
        let sandbox = Sandbox::new();
        named_by(form, "sub:1/image:latest", &server.url("/f"), &sandbox).assert_ok();
        PAYLOAD.assert_file_is(&sandbox.path("sub:1/image:latest"));
    }
}

/// Each of these names is one of a side file of `disk.img`.
#[test]
fn nothing_that_others_name_is_one_of_hauls_own_files() {
    let server = Server::serve(PAYLOAD).start();
    let names =
        ["disk.img.part", "disk.img.HAUL", "disk.img.Haul.Tmp", "disk.img.part/x", "disk.img.pa\u{ad}rt"];
    for name in names {
        let own = |entry: &String| {
            let entry = entry.to_lowercase();
            [".part", ".haul", ".haul.tmp"].iter().any(|end| entry.ends_with(end))
        };
        for form in FORMS {
            let sandbox = Sandbox::new();
            named_by(form, name, &server.url("/f"), &sandbox).assert_ok();
            assert!(!sandbox.entries().iter().any(own), "{form} {name:?}: {:?}", sandbox.entries());
        }
        let sandbox = Sandbox::new();
        let disposition = format!("attachment; filename=\"{name}\"");
        let names_it =
            Server::serve(Resource::of(PAYLOAD).header("Content-Disposition", &disposition)).start();
        sandbox.haul().arg("--content-disposition").arg(names_it.url("/f")).run().assert_ok();
        assert!(!sandbox.entries().iter().any(own), "{name:?}: {:?}", sandbox.entries());
        let sandbox = Sandbox::new();
        sandbox.haul().arg(server.url(&format!("/{}", name.replace('/', "%2F")))).run().assert_ok();
        assert!(!sandbox.entries().iter().any(own), "{name:?}: {:?}", sandbox.entries());
    }
}

#[test]
fn a_server_may_write_its_name_in_percent_signs_or_encoded_words() {
    for header in [
        "attachment; filename=\"%E4%BD%A0.zip\"",
        "attachment; filename=\"=?UTF-8?B?5L2gLnppcA==?=\"",
        "attachment; filename==?utf-8?Q?=E4=BD=A0.zip?=",
    ] {
        let server = Server::serve(Resource::of(PAYLOAD).header("Content-Disposition", header)).start();
        let sandbox = Sandbox::new();
        sandbox.haul().arg("--content-disposition").arg(server.url("/f")).run().assert_ok();
        assert_eq!(sandbox.entries(), ["你.zip"], "{header}");
    }
}

#[test]
fn a_link_on_the_way_is_followed_only_where_it_is_ours() {
    let server = Server::serve(PAYLOAD).start();
    for form in FORMS {
        let sandbox = Sandbox::new();
        symlink("../home", sandbox.path("sub")).unwrap();
        named_by(form, "sub/a/x", &server.url("/f"), &sandbox).assert_ok();
        PAYLOAD.assert_file_is(&sandbox.home().join("a/x"));
        if lchown(sandbox.path("sub"), Some(12_345), None).is_err() {
            eprintln!("DID NOT RUN: only root can give files away");
            continue;
        }
        named_by(form, "sub/b/x", &server.url("/f"), &sandbox).assert_failed(13);
        assert!(!sandbox.home().join("b").exists(), "{form}");
    }
}

#[test]
fn a_name_of_the_users_that_is_too_long_is_refused_with_one_that_is_not() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("-o").arg("n".repeat(250)).arg(server.url("/f")).run();
    outcome.assert_failed(2);
    assert!(outcome.stderr.contains("longer than 246 bytes") && outcome.stderr.contains("-o"), "{outcome}");
    assert!(server.requests().is_empty());
    sandbox.assert_empty();
    // The number that keeps two files apart has to fit as well.
    let long = format!("{}.bin", "n".repeat(242));
    sandbox.write(&long, "mine");
    sandbox.haul().args(["--if-exists", "rename", "-o", &long]).arg(server.url("/f")).run().assert_ok();
    let entries = sandbox.entries();
    assert!(entries.iter().any(|name| name.ends_with("n.1.bin")) && entries.len() == 2, "{entries:?}");
}
