//! Output for a person: on a terminal, in a pipe, in colours.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(181, 8);

/// Wraps the program in a terminal of this size that copies the screen to the standard output; `None` without `script`.
fn on_a_terminal(columns: u16) -> Option<[String; 3]> {
    let there = std::process::Command::new("script").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        crate::support::left_out("script is not installed");
        return None;
    }
    let run = format!("exec script -qec \"stty cols {columns} rows 24; $0 $*\" /dev/null");
    Some(["/bin/sh".into(), "-c".into(), run])
}

/// URL of a port without a listener.
fn dead_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/file.bin", listener.local_addr().unwrap())
}

fn limiting() -> Server {
    Server::serve(PAYLOAD)
        .handler(|_, exchange| {
            let mut answer = Answer::text(429, "slower");
            answer.set("Retry-After", "1");
            exchange.send(&answer);
        })
        .start()
}

#[test]
fn while_it_tries_again_the_cause_the_wait_and_the_number_of_the_try_are_told() {
    let server = limiting();
    for (url, cause) in [(server.url("/file.bin"), "429"), (dead_url(), "refused")] {
        let sandbox = Sandbox::new();
        let piped = sandbox.haul().args(["--retry", "2"]).arg(&url).run();
        assert_ne!(piped.code, Some(0), "{piped}");
        let note = |number: u32| format!("haul: note: file.bin: try {number} failed, next ");
        for number in [1, 2] {
            let line = piped.stderr.lines().find(|line| line.starts_with(&note(number)));
            assert!(line.is_some_and(|line| line.contains(cause)), "{number}: {piped}");
        }
        let quiet = sandbox.haul().args(["-q", "--retry", "1"]).arg(&url).run();
        assert!(!quiet.stderr.contains("try 1"), "{quiet}");
        for columns in [120, 40] {
            let Some(terminal) = on_a_terminal(columns) else { return };
            let haul = sandbox.haul().env("TERM", "xterm").under(terminal);
            let shown = haul.args(["--retry", "2"]).arg(&url).run();
            shown.assert_says("try 2 failed, next in 0:0").assert_says(cause);
        }
    }
}

#[test]
fn before_the_first_byte_a_terminal_and_a_pipe_say_who_is_waited_for() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::NoAnswer).start();
    let sandbox = Sandbox::new();
    let patient = ["--first-byte-timeout", "7", "--retry", "0"];
    let host = server.url("").trim_start_matches("http://").to_owned();
    let piped = sandbox.haul().args(patient).arg(server.url("/file.bin")).run();
    let note = format!("haul: note: file.bin: connected to {host}, no answer for 0:0");
    assert!(piped.stderr.contains(&note), "{piped}");
    let Some(terminal) = on_a_terminal(80) else { return };
    let shown = sandbox.haul().env("TERM", "xterm").under(terminal).args(patient);
    let shown = shown.arg(server.url("/file.bin")).run();
    shown.assert_says(&format!("connected to {host}, no answer for 0:01"));
}

#[test]
fn several_files_on_a_terminal_have_a_line_together_and_a_summary() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/none" { Reply::Status(404) } else { Reply::Normal })
        .rate(8 * MIB)
        .start();
    let sandbox = Sandbox::new();
    let Some(terminal) = on_a_terminal(80) else { return };
    let urls = ["/a.bin", "/b.bin", "/none"].map(|path| server.url(path));
    let shown = sandbox.haul().env("TERM", "xterm").under(terminal).args(urls).run();
    shown.assert_says("of 3 files").assert_says("1 failed").assert_says("2 files saved, 1 failed");
}

#[test]
fn start_and_end_speak_of_the_same_file_and_of_as_many_connections() {
    let cases: [(&[&str], u64); 6] = [
        (&["-x", "4", "-k", "1M"], 8 * MIB),
        (&["-x", "64"], 8 * MIB),
        (&["-x", "64"], 300 << 10),
        (&[], 8 * MIB),
        (&[], 20_000),
        (&["-d", "below", "--if-exists", "rename"], 8 * MIB),
    ];
    for (flags, length) in cases {
        let payload = Payload::new(182, length);
        let server = Server::serve(payload).start();
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("below")).unwrap();
        sandbox.write("below/file.bin", "there already");
        let outcome = sandbox.haul().args(flags).arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        let lines: Vec<_> = outcome.stderr.lines().filter(|line| !line.starts_with("haul: ")).collect();
        let [start, end] = lines[..] else { panic!("{outcome}") };
        let name = |line: &str| line.split(": ").next().unwrap().to_owned();
        assert_eq!(name(start), name(end), "{outcome}");
        assert_eq!(name(end).contains("file.1.bin"), flags.contains(&"rename"), "{outcome}");
        assert!(sandbox.path(&name(end)).is_file(), "{outcome}");
        let (allowed, used) = (connections(start), connections(end));
        assert!(used <= allowed && allowed as u64 <= length.div_ceil(64 << 10), "{outcome}");
    }
}

/// Returns the number before the word.
fn connections(line: &str) -> usize {
    let words: Vec<_> = line.split([' ', ',']).collect();
    let at = words.iter().position(|word| word.starts_with("connection")).unwrap_or_else(|| panic!("{line}"));
    words[at - 1].parse().unwrap()
}

#[test]
fn colours_are_shown_where_they_are_asked_for_and_never_where_they_are_not_wanted() {
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Status(404)).start();
    let red = "\u{1b}[1;31mhaul:";
    for (flags, no_color, coloured) in [
        (&["--color", "always"][..], "", true),
        (&["--color", "always"], "1", true),
        (&["--color", "auto"], "", false),
        (&[], "", false),
        (&["--color", "never"], "", false),
    ] {
        let sandbox = Sandbox::new();
        let haul = sandbox.haul().env("NO_COLOR", no_color).args(flags);
        let piped = haul.arg(server.url("/file.bin")).run();
        assert_eq!(piped.stderr.contains(red), coloured, "{flags:?}: {piped}");
    }
    let Some(terminal) = on_a_terminal(80) else { return };
    for (no_color, term, coloured) in [("", "xterm", true), ("1", "xterm", false), ("", "dumb", false)] {
        let sandbox = Sandbox::new();
        let haul = sandbox.haul().env("NO_COLOR", no_color).env("TERM", term).under(terminal.clone());
        let shown = haul.arg(server.url("/file.bin")).run();
        assert_eq!(shown.stdout_text().contains(red), coloured, "{no_color} {term}: {shown}");
    }
}

#[test]
fn verbose_tells_redirects_addresses_and_heads_and_no_secrets() {
    let server = Server::serve(PAYLOAD)
        .handler(|request, exchange| {
            if request.path() != "/file.bin" {
                return exchange.serve();
            }
            let mut answer = Answer::text(302, "");
            answer.set("Location", "/there.bin?X-Amz-Signature=S3CR&v=1");
            answer.set("Set-Cookie", "sid=S3CR");
            exchange.send(&answer);
        })
        .start();
    let sandbox = Sandbox::new();
    let haul = |flags: &[&str]| {
        let secrets =
            ["-H", "X-Mine: S3CR", "-H", "Cookie: a=S3CR", "-u", "me:S3CR", "--if-exists", "overwrite"];
        let outcome = sandbox.haul().args(secrets).args(flags).arg(server.url("/file.bin?sig=S3CR")).run();
        outcome.assert_ok();
        assert!(!outcome.said().contains("S3CR"), "{outcome}");
        outcome
    };
    let at = server.url("").replace("http://", "");
    let outcome = haul(&["-v"]);
    outcome.assert_says(&format!("* connected to http://{at} at {at}: HTTP/1.1"));
    outcome.assert_says("* redirected (302) from ").assert_says(" to http://").assert_says("/there.bin");
    assert!(!outcome.stderr.lines().any(|line| line.starts_with(['<', '>'])), "{outcome}");
    let outcome = haul(&["-vv"]);
    for said in ["> GET /file.bin?", "> authorization: (hidden)", "> cookie: (hidden)", "> x-mine: (hidden)"]
    {
        outcome.assert_says(said);
    }
    for said in
        ["< HTTP/1.1 302 Found", "< set-cookie: (hidden)", "< HTTP/1.1 206", "< content-range: bytes 0-"]
    {
        outcome.assert_says(said);
    }
    assert!(!haul(&[]).stderr.contains("* "), "nothing of it is said unless it is asked for");
}

/// Line of shell that runs haul with the terminal of the window and nothing else of the user's.
fn haul_line(arguments: &str) -> String {
    let haul = env!("CARGO_BIN_EXE_haul");
    format!("env -i TERM=\"$TERM\" HOME=. LC_ALL=C.UTF-8 {haul} --no-config {arguments}")
}

#[test]
fn a_window_that_becomes_narrower_keeps_no_stale_rows() {
    let gate = Gate::after(4 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let urls = format!("{} {}", server.url("/one.bin"), server.url("/two.bin"));
    let line = haul_line(&format!("--first-byte-timeout 60 -x 2 {urls}"));
    let Some(window) = Window::run(&sandbox, (120, 24), &line) else { return };
    window
        .wait_until("both files are shown", |screen| screen.contains("of 2 files") && screen.contains("2x"));
    for columns in [90_usize, 60, 40] {
        window.tmux(&["resize-window", "-x", &columns.to_string(), "-y", "24"]);
        window.wait_until(&format!("the rows fit into {columns} columns, each of them once"), |screen| {
            let once = |text: &str| screen.matches(text).count() == 1;
            let fits = |line: &str| line.chars().count() < columns;
            ["one.bin", "two.bin", "of 2 files"].into_iter().all(once) && screen.lines().all(fits)
        });
    }
}

#[test]
fn ctrl_c_leaves_no_stale_row_in_a_window_that_the_last_row_fills() {
    let server = limiting();
    for columns in [38, 39, 40, 41, 42] {
        let sandbox = Sandbox::new();
        // The shell has to outlive Ctrl-C, and to keep its window.
        let line = haul_line(&server.url("/file.bin"));
        let line = format!("trap : INT; stty echoctl && {line}; echo over; cat");
        let Some(window) = Window::run(&sandbox, (columns, 20), &line) else { return };
        window.wait_until("it says why it waits", |screen| screen.contains("failed, next"));
        window.tmux(&["send-keys", "C-c"]);
        let left = window.wait_until("it has ended", |screen| screen.lines().any(|line| line == "over"));
        assert!(left.contains("cancelled"), "at {columns} columns:\n{left}");
        assert!(!left.contains("asking"), "at {columns} columns:\n{left}");
    }
}
