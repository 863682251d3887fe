//! Names of files, and protection of existing files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use crate::support::*;

const PAYLOAD: Payload = Payload::new(61, 100_000);

fn disposition(value: &str) -> Server {
    Server::serve(Resource::of(PAYLOAD).header("Content-Disposition", value)).start()
}

// T067
#[test]
fn a_name_that_points_elsewhere_stays_in_the_directory() {
    let names =
        ["../../x", "..\\..\\x", "/etc/x", "C:x", "..%2Fx", "%2e%2e%2fx", "%252e%252e%252fx", "....//x"];
    for name in names {
        let by_header = disposition(&format!("attachment; filename=\"{name}\""));
        assert_stays_inside(&by_header, "/file.bin");
        let extended = disposition(&format!(
            "attachment; filename*=UTF-8''{}",
            name.replace('/', "%2F").replace('\\', "%5C")
        ));
        assert_stays_inside(&extended, "/file.bin");
        let by_url = Server::serve(PAYLOAD).start();
        assert_stays_inside(&by_url, &format!("/a/b/{name}"));
    }
}

#[track_caller]
fn assert_stays_inside(server: &Server, path: &str) {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("sub")).unwrap();
    let outcome = sandbox.haul().args(["--content-disposition", "-d", "sub"]).arg(server.url(path)).run();
    let inside = crate::support::haul::names_in(&sandbox.path("sub"));
    if outcome.code == Some(0) {
        assert_eq!(inside.len(), 1, "{inside:?}");
        PAYLOAD.assert_file_is(&sandbox.path("sub").join(&inside[0]));
        assert!(fs::symlink_metadata(sandbox.path("sub").join(&inside[0])).unwrap().is_file());
    } else {
        outcome.assert_failed_as_one_of(&[2, 13]);
        assert!(inside.is_empty(), "{inside:?}");
    }
    assert_eq!(sandbox.entries(), ["sub"], "{path}");
    assert!(sandbox.outside().is_empty(), "{path}: {:?}", sandbox.outside());
}

// T068
#[test]
fn an_odd_name_from_a_server_becomes_a_plain_one() {
    let long = "n".repeat(300);
    let names = [
        "",
        ".",
        "..",
        "~",
        "-rf",
        "CON",
        &long,
        "dot.",
        "space ",
        ".bashrc",
        "x.part",
        "x.haul",
        "a\u{202e}b",
        "|sh",
    ];
    for name in names {
        let server = disposition(&format!("attachment; filename=\"{name}\""));
        let sandbox = Sandbox::new();
        let outcome = sandbox.haul().arg("--content-disposition").arg(server.url("/file.bin")).run();
        let entries = sandbox.entries();
        if outcome.code != Some(0) {
            outcome.assert_failed_as_one_of(&[2, 13]);
            assert!(entries.is_empty(), "{name:?}: {entries:?}");
            continue;
        }
        assert_eq!(entries.len(), 1, "{name:?}");
        let made = &entries[0];
        assert!(made.len() + ".part.haul".len() <= 255, "{name:?}: {} bytes", made.len());
        assert!(!made.starts_with(['.', '-', '~', '|']), "{name:?} became {made:?}");
        assert!(
            !made.ends_with([' ', '.']) && !made.ends_with(".part") && !made.ends_with(".haul"),
            "{made:?}"
        );
        assert!(!made.contains('\u{202e}'), "{made:?}");
        PAYLOAD.assert_file_is(&sandbox.path(made));
    }
}

#[test]
fn a_name_of_bytes_that_are_no_text_does_no_harm() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            exchange.send_raw(
                b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"\xff\xfe\x80\"\r\n",
            );
            exchange.send_raw(format!("Content-Length: {}\r\n\r\n", PAYLOAD.len).as_bytes());
            if request.is_get() {
                exchange.send_payload(0..PAYLOAD.len);
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg("--content-disposition").arg(server.url("/file.bin")).run();
    assert!(outcome.code == Some(0) && sandbox.entries().len() == 1, "{outcome}");
}

// T069
#[test]
fn a_server_does_not_name_the_file_unless_it_is_allowed_to() {
    let server = disposition("attachment; filename=\"theirs.bin\"");
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/mine.bin")).run().assert_ok();
    sandbox.haul().arg("--content-disposition").arg(server.url("/mine.bin")).run().assert_ok();
    assert_eq!(sandbox.entries(), ["mine.bin", "theirs.bin"]);
}

#[test]
fn a_redirect_does_not_name_the_file_either() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/mine.bin" => Reply::Redirect(302, "/a/b/theirs.sh?x=1".into()),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    sandbox.haul().arg(server.url("/mine.bin?query=/evil")).run().assert_ok();
    assert_eq!(sandbox.entries(), ["mine.bin"]);
}

#[test]
fn a_url_that_names_no_file_needs_an_output_name() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().arg(server.url("/")).run();
    outcome.assert_failed(2);
    outcome.assert_says("-o");
    sandbox.assert_empty();
    sandbox.haul().args(["-o", "index"]).arg(server.url("/")).run().assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("index"));
}

// T069
#[test]
fn a_target_with_other_content_is_never_touched_without_a_flag() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let target = sandbox.write("file.bin", "mine");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&target).unwrap();
    for extra in
        [&[][..], &["--if-exists", "auto"], &["--if-exists", "error"], &["--sha256", &PAYLOAD.sha256_hex()]]
    {
        let outcome = sandbox.haul().args(extra).arg(server.url("/file.bin")).run();
        outcome.assert_failed(10);
    }
    assert_eq!(sandbox.read("file.bin"), b"mine");
    let after = fs::metadata(&target).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert_eq!(after.permissions(), before.permissions());
    assert_eq!(sandbox.entries(), ["file.bin"]);
    server.assert_cost(0);
}

// T069
#[test]
fn each_policy_for_an_existing_target_does_what_it_says() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", "mine");
    let run = |policy: &str| sandbox.haul().args(["--if-exists", policy]).arg(server.url("/file.bin")).run();
    run("skip").assert_ok();
    server.assert_cost(0);
    assert_eq!(sandbox.read("file.bin"), b"mine");
    run("rename").assert_ok();
    assert_eq!(sandbox.read("file.bin"), b"mine");
    let entries = sandbox.entries();
    assert_eq!(entries.len(), 2, "{entries:?}");
    let renamed = entries.iter().find(|name| *name != "file.bin").unwrap();
    PAYLOAD.assert_file_is(&sandbox.path(renamed));
    run("overwrite").assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    run("nonsense").assert_failed(2);
}

// T069
#[test]
fn an_overwrite_that_fails_half_way_keeps_the_old_file() {
    let payload = Payload::mib(62, 4);
    let server = Server::serve(payload).behave(|_, _| Reply::Ends(Ending::Close(MIB))).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin", "mine");
    let run = |retry: &str| {
        sandbox
            .haul()
            .args(["-x", "1", "--if-exists", "overwrite", "--retry", retry])
            .arg(server.url("/file.bin"))
            .run()
    };
    let outcome = run("0");
    outcome.assert_failed(6);
    assert_eq!(sandbox.read("file.bin"), b"mine");
    server.recover();
    run("0").assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
}

// T072
#[test]
fn a_planted_link_is_not_followed() {
    for planted in ["file.bin", "file.bin.part", "file.bin.haul"] {
        for (kind, existing) in [("link to a file", true), ("dangling link", false)] {
            let server = Server::serve(PAYLOAD).start();
            let sandbox = Sandbox::new();
            let victim = sandbox.root().join("victim");
            if existing {
                fs::write(&victim, "precious").unwrap();
            }
            symlink(&victim, sandbox.path(planted)).unwrap();
            let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
            assert_refused_for_safety(&outcome, &format!("{planted}, {kind}"));
            if existing {
                assert_eq!(fs::read(&victim).unwrap(), b"precious", "{planted}, {kind}");
            } else {
                assert!(!victim.exists(), "{planted}, {kind}: the target of the link was made");
            }
        }
    }
}

// T072
#[test]
fn a_planted_pipe_or_directory_is_refused_and_nothing_hangs() {
    for planted in ["file.bin", "file.bin.part", "file.bin.haul"] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let made = std::process::Command::new("mkfifo").arg(sandbox.path(planted)).status().unwrap();
        assert!(made.success());
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        assert_refused_for_safety(&outcome, planted);
        fs::remove_file(sandbox.path(planted)).unwrap();
        fs::create_dir(sandbox.path(planted)).unwrap();
        let outcome = sandbox.haul().arg(server.url("/file.bin")).run();
        assert_refused_for_safety(&outcome, planted);
        assert_eq!(sandbox.entries(), [planted]);
    }
}

// T072
#[test]
fn a_second_name_of_a_planted_file_is_noticed_and_its_other_name_keeps_its_bytes() {
    for planted in ["file.bin.part", "file.bin.haul"] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let victim = sandbox.root().join("victim");
        fs::write(&victim, "precious").unwrap();
        fs::hard_link(&victim, sandbox.path(planted)).unwrap();
        sandbox.haul().arg(server.url("/file.bin")).run().assert_failed(13);
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{planted}");
        sandbox.assert_absent("file.bin");
    }
}

// T072
#[test]
fn a_link_in_the_place_of_a_temporary_manifest_or_of_a_file_to_be_replaced_harms_nobody() {
    for (planted, overwrite) in [("file.bin.haul.tmp", false), ("file.bin", true)] {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let victim = sandbox.root().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, sandbox.path(planted)).unwrap();
        let flags: &[&str] = if overwrite { &["--if-exists", "overwrite"] } else { &[] };
        let outcome = sandbox.haul().args(flags).arg(server.url("/file.bin")).run();
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{planted}: {outcome}");
        if overwrite {
            outcome.assert_failed(13);
        } else {
            outcome.assert_ok();
            sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        }
    }
}

#[track_caller]
fn assert_refused_for_safety(outcome: &Outcome, what: &str) {
    assert!(outcome.elapsed < Duration::from_secs(5), "{what}: {outcome}");
    // A planted target also simply "exists", and a planted part file lacks a manifest.
    outcome.assert_failed_as_one_of(&[8, 9, 10, 13]);
}

// T073
#[test]
fn nothing_a_server_says_controls_the_terminal() {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}\u{9b}2J";
    let table: Vec<fn(&mut Exchange<'_>)> = vec![
        |exchange| {
            let mut answer = Answer::text(404, EVIL);
            answer.reason = Some(format!("Not{EVIL}Found"));
            exchange.send(&answer);
        },
        |exchange| exchange.redirect(302, &format!("/else{EVIL}")),
        |exchange| exchange.redirect(302, &format!("ftp://host/{EVIL}")),
        |exchange| {
            let mut answer = exchange.answer();
            answer.set("Content-Disposition", format!("attachment; filename=\"{EVIL}.bin\""));
            answer.set("Content-Type", EVIL).set("ETag", format!("\"{EVIL}\""));
            exchange.send(&answer);
        },
        |exchange| {
            let mut answer = exchange.answer();
            answer.set("Content-Encoding", EVIL);
            exchange.send(&answer);
        },
        |exchange| exchange.redirect(302, &format!("http://{}", "x".repeat(10_000))),
        |exchange| exchange.send_raw(b"HTTP/1.1 404 N\x9b2J\xc2\x9b31m\r\nContent-Length: 3\r\n\r\n\x9b2J"),
        |exchange| {
            exchange.send_raw(b"HTTP/1.1 302 F\r\nLocation: ftp://h/\x9b2J\r\nContent-Length: 0\r\n\r\n");
        },
    ];
    for answer in table {
        let server = Server::serve(PAYLOAD).handler(move |_, exchange| answer(exchange)).start();
        let sandbox = Sandbox::new();
        for verbosity in [&[][..], &["-vvv"][..], &["--json"][..]] {
            let outcome = sandbox
                .haul()
                .args(["--retry", "0", "--content-disposition", "--if-exists", "rename"])
                .args(verbosity)
                .arg(server.url("/file.bin"))
                .run();
            let said = outcome.said();
            let bad = said.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(bad, None, "{verbosity:?}: {said:?}");
        }
    }
}

#[test]
fn a_name_on_the_command_line_is_escaped_on_the_terminal_too() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["-o", "a\u{1b}[31mb"]).arg(server.url("/file.bin")).run();
    outcome.assert_failed(3);
    assert!(!outcome.said().contains('\u{1b}'), "{:?}", outcome.said());
}

// T074
#[test]
fn files_are_private_while_they_grow_and_follow_the_umask_when_they_are_whole() {
    let payload = Payload::mib(63, 4);
    let gate = Gate::after(MIB);
    let server = Server::serve(payload).gate(&gate).start();
    let sandbox = Sandbox::new();
    let running = sandbox
        .haul()
        .under(["/bin/sh", "-c", "umask 000; exec \"$0\" \"$@\""])
        .args(["--json", "-x", "2"])
        .arg(server.url("/file.bin"))
        .spawn();
    running.wait_for_durable(MIB / 2);
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(sandbox.part("file.bin")), 0o600);
    assert_eq!(mode(sandbox.manifest("file.bin")), 0o600);
    gate.open();
    running.wait().assert_ok();
    assert_eq!(mode(sandbox.path("file.bin")), 0o666);
    let tight = Server::serve(PAYLOAD).start();
    sandbox
        .haul()
        .under(["/bin/sh", "-c", "umask 027; exec \"$0\" \"$@\""])
        .arg(tight.url("/tight.bin"))
        .run()
        .assert_ok();
    assert_eq!(mode(sandbox.path("tight.bin")), 0o640);
}

// T074
#[test]
fn an_overwrite_never_widens_the_old_mode() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let target = sandbox.write("file.bin", "mine");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.haul().args(["--if-exists", "overwrite"]).arg(server.url("/file.bin")).run().assert_ok();
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_of_the_users_in_the_place_of_a_temporary_manifest_is_not_removed() {
    // A small file has no manifest.
    let payload = Payload { len: 1 << 20, ..PAYLOAD };
    let server = Server::serve(payload).start();
    let sandbox = Sandbox::new();
    sandbox.write("file.bin.haul.tmp", "my notes");
    sandbox.haul().arg(server.url("/file.bin")).run().assert_failed(9).assert_says("file.bin.haul.tmp");
    assert_eq!(sandbox.entries(), ["file.bin.haul.tmp"]);
    assert_eq!(sandbox.read("file.bin.haul.tmp"), b"my notes");
    sandbox.write("file.bin.haul.tmp", "0123abcd {\"ha");
    sandbox.haul().arg(server.url("/file.bin")).run().assert_ok();
    sandbox.assert_ok_file(&payload, "file.bin");
    assert_eq!(sandbox.entries(), ["file.bin"]);
}
