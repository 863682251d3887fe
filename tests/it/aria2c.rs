//! haul in the place of aria2c.

use crate::support::haul::names_in;
use crate::support::*;
use std::fs;

const PAYLOAD: Payload = Payload::mib(361, 4);

#[test]
fn a_file_is_fetched_as_aria2c_is_asked_for_it() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args([
            "aria2c",
            "-c",
            "--no-conf",
            "--console-log-level=warn",
            "--summary-interval=0",
            "-x16",
            "-s16",
            "-k1M",
        ])
        .args(["--file-allocation=none", "--auto-file-renaming=false", "--dir", "d", "--out", "f.bin", "--"])
        .arg(server.url("/file.bin"))
        .run();
    outcome.assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("d/f.bin"));
    assert_eq!(sandbox.entries(), ["d"]);
    assert_eq!(names_in(&sandbox.path("d")), ["f.bin"]);
}

#[test]
fn exit_codes_are_those_of_aria2() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/gone" => Reply::Status(404),
            "/forbidden" => Reply::Status(401),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let wrong = format!("--checksum=sha-256={}", "0".repeat(64));
    let gone = server.url("/gone");
    for (args, code) in [
        (&["/gone"][..], 3),
        (&["/forbidden"], 24),
        (&[&wrong, "/wrong"], 32),
        (&["--split=many", "--timeout=x", "/f"], 28),
        (&["-T", "x.torrent"], 28),
        (&["--nonsense", "/f"], 28),
        (&["magnet:?xt=urn:btih:x"], 28),
        (&["-Z", "/gone", "/f"], 3),
    ] {
        let args = args.iter().map(|arg| match arg.strip_prefix('/') {
            Some(_) => server.url(arg),
            None => (*arg).to_owned(),
        });
        let outcome = sandbox.haul().args(["aria2c", "--no-conf", "-q"]).args(args).run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
    }
    sandbox.haul().args(["aria2c", "--no-conf", &gone]).run().assert_says("404");
    // The list of what is missing is one for the next run.
    sandbox.write(
        "list",
        format!("{gone}\n out=a\n{}\n out=b\n dir={}\n", server.url("/b"), sandbox.work().display()),
    );
    let outcome = sandbox.haul().args(["aria2c", "--no-conf", "-i", "list", "--save-session=left"]).run();
    assert_eq!(outcome.code, Some(3), "{outcome}");
    assert!(String::from_utf8(sandbox.read("left")).unwrap().contains("/gone"));
    PAYLOAD.assert_file_is(&sandbox.path("b"));
}

#[test]
fn an_unfinished_file_has_a_marker_that_goes_with_its_end() {
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let aria2c = || sandbox.haul().args(["aria2c", "-c", "-x1"]).arg(server.url("/file.bin"));
    let running = aria2c().spawn();
    running.wait_for_stderr("it starts", |said| said.contains("file.bin"));
    gate.wait_for_waiting(1);
    running.signal("TERM");
    running.wait();
    assert!(sandbox.path("file.bin.aria2").exists(), "{:?}", sandbox.entries());
    server.recover();
    aria2c().run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert_eq!(sandbox.entries(), ["file.bin"]);
    // One of aria2's own is left alone.
    sandbox.write("other.bin.aria2", "of aria2 itself");
    sandbox.haul().args(["aria2c", "-c", "-o", "other.bin"]).arg(server.url("/o")).run().assert_ok();
    assert_eq!(sandbox.read("other.bin.aria2"), b"of aria2 itself");
}

#[test]
fn programs_that_look_for_aria2c_find_haul_by_a_link() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).unwrap();
    sandbox.haul().args(["link-aria2c", "bin"]).run().assert_ok();
    sandbox.haul().args(["link-aria2c", "bin"]).run().assert_failed(10);
    let version = std::process::Command::new(sandbox.path("bin/aria2c")).arg("-v").output().unwrap();
    let text = String::from_utf8(version.stdout).unwrap();
    assert!(text.starts_with("aria2 version 1.") && text.contains("\nHash Algorithms: "), "{text}");
    let fetched = std::process::Command::new(sandbox.path("bin/aria2c"))
        .args(["-q", "--no-conf", "-d"])
        .arg(sandbox.path("d"))
        .arg(server.url("/f.bin"))
        .env("HOME", sandbox.home())
        .status();
    assert!(fetched.unwrap().success());
    PAYLOAD.assert_file_is(&sandbox.path("d/f.bin"));
}

#[test]
fn what_cannot_be_honoured_is_said_once() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .haul()
        .args(["aria2c", "--no-conf", "--lowest-speed-limit=1K", "-o", "f"])
        .args([server.url("/f"), server.url("/mirror")])
        .run();
    outcome.assert_ok();
    for said in ["--lowest-speed-limit is not honoured", "need --checksum"] {
        assert_eq!(outcome.stderr.matches(said).count(), 1, "{outcome}");
    }
    PAYLOAD.assert_file_is(&sandbox.path("f"));
}

#[test]
fn a_metalink_file_on_disk_is_named_as_a_url_is() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let text = format!(
        "<metalink><file name=\"f.bin\"><hash type=\"sha-256\">{}</hash><url>{}</url></file></metalink>",
        PAYLOAD.sha256_hex(),
        server.url("/x")
    );
    sandbox.write("d.meta4", text);
    sandbox.haul().args(["aria2c", "--no-conf", "-q", "d.meta4"]).run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "f.bin");
    let two = sandbox.haul().args(["aria2c", "--no-conf", "d.meta4", "d.metalink"]).run();
    assert_eq!(two.code, Some(28), "{two}");
    two.assert_says("one Metalink document");
}

#[test]
fn failures_of_the_network_have_the_codes_of_aria2() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::NoAnswer).start();
    let sandbox = Sandbox::new();
    let code = |args: &[&str], url: &str| {
        let outcome = sandbox.haul().args(["aria2c", "--no-conf", "-q", "-m1"]).args(args).arg(url).run();
        outcome.code.unwrap()
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(code(&[], &format!("http://{closed}/f")), 1);
    assert_eq!(code(&[], "http://no.such.name.invalid/f"), 19);
    assert_eq!(code(&["-t1"], &server.url("/f")), 2);
    let running = sandbox.haul().args(["aria2c", "--no-conf", "-t30"]).arg(server.url("/g")).spawn();
    wait_for(&server, "/g");
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(7));
}

#[test]
fn what_another_program_has_begun_goes_on_with_continue() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let aria2c =
        |args: &[&str]| sandbox.haul().args(["aria2c", "--no-conf"]).args(args).arg(server.url("/f")).run();
    sandbox.write("f", PAYLOAD.bytes(0..MIB));
    aria2c(&["-c"]).assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "f");
    assert!(server.body_bytes() < PAYLOAD.len, "{}", server.describe());
    // The whole file is there, and nothing but samples is asked for.
    sandbox.write("whole", PAYLOAD.all());
    server.forget();
    aria2c(&["-c", "-o", "whole"]).assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "whole");
    assert!(server.body_bytes() < MIB, "{}", server.describe());
    // Another file stays as it is, and the way out is one of aria2's.
    sandbox.write("other", Payload::mib(362, 1).all());
    let outcome = aria2c(&["-c", "-o", "other"]);
    assert_eq!(outcome.code, Some(8), "{outcome}");
    outcome.assert_says("--continue");
    assert_eq!(sandbox.read("other"), Payload::mib(362, 1).all());
    let exists = aria2c(&["--auto-file-renaming=false", "-o", "other"]);
    assert_eq!(exists.code, Some(13), "{exists}");
    exists.assert_says("--allow-overwrite=true");
    assert!(!exists.stderr.contains("--if-exists"), "{exists}");
}

#[test]
fn a_session_is_written_as_aria2_writes_it() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let gone = server.url("/gone");
    let digest = format!("sha-256={}", "0".repeat(64));
    sandbox.write(
        "list",
        format!("{gone}\n out=a\n header=A: b\n checksum={digest}\n{}\n out=b\n", server.url("/b")),
    );
    let args = ["aria2c", "--no-conf", "-q", "-d", "d", "-i", "list", "--save-session=left"];
    assert_eq!(sandbox.haul().args(args).run().code, Some(3));
    let text = String::from_utf8(sandbox.read("left")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("{gone}\t"), "{text}");
    assert!(lines[1].starts_with(" gid=") && lines[1].len() == 21, "{text}");
    assert_eq!(lines[2..], [" dir=d", " out=a", &format!(" checksum={digest}"), " header=A: b"]);
    // It is a list for the next run.
    server.behave_with(|_, _| Reply::Status(404));
    let again = sandbox.haul().args(["aria2c", "--no-conf", "-q", "-i", "left"]).run();
    assert_eq!(again.code, Some(3), "{again}");
}

fn wait_for(server: &Server, path: &str) {
    server.wait_until(path, |log| log.requests.iter().any(|request| request.target == path));
}

/// A daemon in place of aria2c; returns its port.
fn daemon(sandbox: &Sandbox, port: u16, more: &[&str]) -> (Running, u16) {
    let running = sandbox
        .haul()
        .args(["aria2c", "--no-conf", "--enable-rpc", "--rpc-secret=s", "-d", "root"])
        .arg(format!("--rpc-listen-port={port}"))
        .args(more)
        .deadline(std::time::Duration::from_secs(60))
        .spawn();
    let said = running.wait_for_stderr("it listens", |said| said.contains("listening on"));
    let port = said.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    (running, port)
}

/// Calls a method of the daemon.
fn call(port: u16, method: &str, params: &str) -> String {
    use std::io::{Read as _, Write as _};
    let body = format!(r#"{{"id":1,"method":"{method}","params":["token:s"{params}]}}"#);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn two_daemons_have_their_own_jobs_by_their_ports() {
    let sandbox = Sandbox::new();
    let (first, one) = daemon(&sandbox, free_port(), &[]);
    let (second, other) = daemon(&sandbox, free_port(), &[]);
    let add = r#",["http://127.0.0.1:1/f"],{"pause":"true","gid":"00000000000000aa"}"#;
    assert!(call(one, "aria2.addUri", add).contains("00000000000000aa"));
    let waiting = |port| call(port, "aria2.tellWaiting", r#",0,9,["gid"]"#).contains("00000000000000aa");
    assert!(waiting(one) && !waiting(other));
    assert!(call(one, "aria2.changeGlobalOption", r#",{"max-concurrent-downloads":"7"}"#).contains("OK"));
    first.kill();
    let (first, one) = daemon(&sandbox, one, &[]);
    assert!(waiting(one));
    assert!(call(one, "aria2.getGlobalOption", "").contains(r#""max-concurrent-downloads":"7""#));
    let taken = sandbox
        .haul()
        .args(["aria2c", "--no-conf", "--enable-rpc", &format!("--rpc-listen-port={one}")])
        .run();
    taken.assert_says("another program listens there").assert_says("--rpc-listen-port");
    for running in [first, second] {
        running.signal("TERM");
        running.wait().assert_ok();
    }
}

#[test]
fn a_daemon_begins_with_its_list_and_its_urls_and_writes_what_is_left() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::NoAnswer).start();
    let sandbox = Sandbox::new();
    let url = |path: &str| server.url(path);
    sandbox.write("list", format!("{}\t\n gid=00000000000000bb\n out=l\n pause=true\n", url("/listed")));
    let named = url("/named");
    let more = ["--input-file=list", "--save-session=left", "--user-agent=Me/1", "-D", &named];
    let (running, port) = daemon(&sandbox, free_port(), &more);
    wait_for(&server, "/named");
    assert_eq!(server.requests()[0].header("user-agent"), Some("Me/1"));
    assert!(call(port, "aria2.saveSession", "").contains("OK"));
    let left = String::from_utf8(sandbox.read("left")).unwrap();
    for said in [&format!("{named}\t\n gid="), " gid=00000000000000bb\n", "\n out=l\n", "\n pause=true\n"] {
        assert!(left.contains(said), "{said:?} in {left}");
    }
    fs::remove_file(sandbox.path("left")).unwrap();
    running.signal("TERM");
    let outcome = running.wait();
    outcome.assert_ok();
    assert!(String::from_utf8(sandbox.read("left")).unwrap().contains("00000000000000bb"));
    assert_eq!(outcome.stderr.matches("note:").count(), 1, "{outcome}");
    outcome.assert_says("--daemon is not honoured");
}

#[test]
fn a_file_has_the_name_of_its_answer_unless_one_is_given() {
    let server = Server::serve(PAYLOAD).start();
    let (stated, plain) = (server.url("/x?stated"), server.url("/models/real.bin"));
    server.behave_with(move |request, _| match &request.target[..] {
        "/to-stated" => Reply::Redirect(302, stated.clone()),
        "/to-plain" => Reply::Redirect(302, plain.clone()),
        "/x?stated" => {
            let mut answer = Resource::of(PAYLOAD).answer(request);
            answer.set("Content-Disposition", "attachment; filename=\"../.st ated.bin\"");
            Reply::Answer(answer)
        }
        "/silent.bin" if request.method == "HEAD" => Reply::Status(405),
        _ => Reply::Normal,
    });
    let sandbox = Sandbox::new();
    for (path, more, name) in [
        ("/to-stated", &[][..], "st ated.bin"),
        ("/to-plain", &[], "real.bin"),
        ("/silent.bin", &[], "silent.bin"),
        ("/", &[], "index.html"),
        ("/to-stated", &["-o", "given"], "given"),
    ] {
        let outcome =
            sandbox.haul().args(["aria2c", "--no-conf", "-q"]).args(more).arg(server.url(path)).run();
        assert_eq!(outcome.code, Some(0), "{path}: {outcome}");
        sandbox.assert_ok_file(&PAYLOAD, name);
        fs::remove_file(sandbox.path(name)).unwrap();
    }
}
