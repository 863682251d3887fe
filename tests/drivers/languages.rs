//! The examples in Python, Java and Node.js, which run haul.

use crate::support::*;
use crate::{haul, is_program, is_there, run};
use std::path::Path;
use std::process::Command;

const PAYLOAD: Payload = Payload::mib(381, 4);

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

/// Runs an example on two files, one with its digest, and on two that fail.
fn works(program: &[&str]) {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let sandbox = Sandbox::new();
    let run_on = |words: &[&str]| {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(sandbox.path("d")).args(words);
        run(command.env("HAUL", haul()).env("HOME", sandbox.home()))
    };
    let (a, b) = (server.url("/a.bin"), server.url("/b.bin"));
    let (code, said) = run_on(&[&a, &PAYLOAD.sha256_hex(), &b]);
    assert_eq!(code, Some(0), "{said}");
    for name in ["a.bin", "b.bin"] {
        PAYLOAD.assert_file_is(&sandbox.path("d").join(name));
    }
    let (code, said) = run_on(&[&server.url("/c.bin"), &"0".repeat(64), &server.url("/gone")]);
    assert!(code != Some(0) && !sandbox.path("d/c.bin").exists(), "{said}");
}

#[test]
fn the_python_example_works() {
    if is_there("python3", is_program("python3")) {
        works(&["python3", &example("download.py")]);
    }
}

#[test]
fn the_java_example_works() {
    if is_there("java", is_program("java")) {
        works(&["java", &example("Download.java")]);
    }
}

#[test]
fn the_node_example_works() {
    if is_there("node", is_program("node")) {
        works(&["node", &example("download.mjs")]);
    }
}

/// A file that takes seconds, so that a timeout ends it, and the same call goes on.
fn resumes(mut interrupted: Command, mut again: Command, sandbox: &Sandbox, server: &Server) {
    let (code, said) =
        run(interrupted.env("HAUL", haul()).env("HOME", sandbox.home()).current_dir(sandbox.work()));
    assert!(code == Some(0) && said.contains("timed out"), "{said}");
    assert!(sandbox.part("slow.bin").exists() && sandbox.manifest("slow.bin").exists(), "{said}");
    let first = said;
    let (_, status) = run(Command::new(haul()).arg("status").current_dir(sandbox.work()));
    server.recover();
    let (code, said) = run(again.env("HAUL", haul()).env("HOME", sandbox.home()).current_dir(sandbox.work()));
    assert!(
        code == Some(0) && !said.contains("resumed: 0\n") && said.contains("resumed: "),
        "{said}{first}{status}"
    );
    sandbox.assert_ok_file(&PAYLOAD, "slow.bin");
}

fn slow() -> Server {
    Server::serve(PAYLOAD).behave(|_, _| Reply::Throttled(8 << 10)).start()
}

#[test]
fn a_timeout_in_python_keeps_what_came() {
    if !is_there("python3", is_program("python3")) {
        return;
    }
    let (server, sandbox) = (slow(), Sandbox::new());
    let script = |timeout: &str| {
        let text = format!(
            "import asyncio, download\n\
             def seen(event):\n    if event['event'] == 'start': print('resumed:', event['resumed'])\n\
             try: print(asyncio.run(download.download([{{'url': '{}'}}], '.', seen, {timeout})))\n\
             except TimeoutError: print('timed out')\n",
            server.url("/slow.bin")
        );
        let mut command = Command::new("python3");
        command.args(["-c", &text]).env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    resumes(script("3"), script("None"), &sandbox, &server);
}

#[test]
fn a_signal_in_node_keeps_what_came() {
    if !is_there("node", is_program("node")) {
        return;
    }
    let (server, sandbox) = (slow(), Sandbox::new());
    let script = |signal: &str| {
        let text = format!(
            "import {{ download }} from '{}';\n\
             const onEvent = event => {{ if (event.event === 'start') console.log('resumed:', event.resumed); }};\n\
             try {{ await download([{{ url: '{}' }}], '.', {{ onEvent, signal: {signal} }}); }}\n\
             catch (error) {{ if (error.name === 'TimeoutError') console.log('timed out'); else throw error; }}",
            example("download.mjs"),
            server.url("/slow.bin")
        );
        let mut command = Command::new("node");
        command.args(["--input-type=module", "-e", &text]);
        command
    };
    resumes(script("AbortSignal.timeout(3000)"), script("undefined"), &sandbox, &server);
}

#[test]
fn an_example_without_arguments_says_how_it_is_used() {
    for (program, name) in [("python3", "download.py"), ("java", "Download.java"), ("node", "download.mjs")] {
        if is_there(program, is_program(program)) {
            let (code, said) = run(Command::new(program).arg(example(name)));
            assert!(code.is_some_and(|code| code != 0) && said.starts_with("usage: "), "{name}: {said}");
            assert_eq!(said.lines().count(), 1, "{name}: {said}");
        }
    }
}

/// An error of the whole run names no URL.
#[test]
fn the_java_example_tells_an_error_without_a_url() {
    if is_there("java", is_program("java")) {
        let sandbox = Sandbox::new();
        let mut command = Command::new("java");
        command
            .arg(example("Download.java"))
            .arg(sandbox.path("d"))
            .args(["http://localhost:1/f", "no digest"]);
        let (code, said) = run(command.env("HAUL", haul()).env("HOME", sandbox.home()));
        assert!(code.is_some_and(|code| code != 0) && !said.contains("Exception"), "{said}");
    }
}

/// It is built with the tests, and downloads from a server of its own.
#[test]
fn the_rust_example_works() {
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/embed");
    if is_there("the example embed, which cargo test builds,", built.is_file()) {
        let (code, said) = run(&mut Command::new(built));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("connections") && said.contains("48.0 MiB"), "{said}");
    }
}
