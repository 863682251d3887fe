//! Runs haul and the programs it is compared with against the same misbehaving servers: which of them exit with 0 and
//! wrong bytes?
//!
//! Every run of the tests checks haul. `HAUL_DIFFERENTIAL=1 cargo test --release --test it differential` also runs the
//! other programs that are installed, and writes `docs/differential.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::*;

const V1: Payload = Payload::mib(221, 8);
const V2: Payload = Payload::mib(222, 8);

fn v2() -> Resource {
    Resource::of(V2).etag("\"v2\"")
}

/// One way to misbehave.
struct Scenario {
    what: &'static str,
    /// Initial state of the server.
    server: fn() -> Server,
    /// For scenarios of two runs: the first is killed after half of the file, then this changes the server.
    then: Option<fn(&Server)>,
    /// Files that may be under the final name after an exit code of 0.
    right: &'static [Payload],
}

const SCENARIOS: [Scenario; 14] = [
    Scenario {
        what: "answers every range with 200 and everything",
        server: || Server::serve(V1).behave(|_, _| Reply::Everything).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "begins its ranges earlier than asked, and says so",
        server: || Server::serve(V1).behave(early).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "sends the first bytes for any range, and says so",
        server: || Server::serve(V1).behave(from_the_start).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "sends 206 without saying which range it is",
        server: || Server::serve(V1).behave(unlabelled).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "sends a range in several parts",
        server: || Server::serve(V1).behave(in_parts).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "closes the connection in the middle of each answer",
        server: || Server::serve(V1).behave(|request, _| Reply::Ends(half_of(request))).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "states no length and leaves out the last chunk",
        server: || Server::serve(V1).handler(|_, exchange| endless_chunks(exchange)).start(),
        then: None,
        right: &[V1],
    },
    Scenario {
        what: "changes to another version of the same size after the first answers",
        server: || {
            Server::serve(V1)
                .handler(|request, exchange| match request.n {
                    0..=2 => exchange.serve(),
                    _ => exchange.serve_resource(&v2()),
                })
                .start()
        },
        then: None,
        right: &[V1, V2],
    },
    Scenario {
        what: "is two nodes that hold different versions",
        server: || {
            Server::serve(V1)
                .handler(|request, exchange| match request.n % 2 {
                    0 => exchange.serve(),
                    _ => exchange.serve_resource(&v2()),
                })
                .start()
        },
        then: None,
        right: &[V1, V2],
    },
    Scenario {
        what: "resumed: has another version of the same size now",
        server: || Server::serve(V1).start(),
        then: Some(|server| server.replace(v2())),
        right: &[V2],
    },
    Scenario {
        what: "resumed: the same, and it does not know If-Range",
        server: || Server::serve(V1).start(),
        then: Some(|server| server.handle_with(without_if_range)),
        right: &[V2],
    },
    Scenario {
        what: "resumed: serves no ranges any more",
        server: || Server::serve(V1).start(),
        then: Some(|server| server.replace(Resource::of(V1).ignoring_ranges())),
        right: &[V1],
    },
    Scenario {
        what: "resumed: answers 416 to everything that is missing",
        server: || Server::serve(V1).start(),
        then: Some(|server| server.behave_with(unsatisfied)),
        right: &[V1],
    },
    Scenario {
        what: "resumed: a login page in place of the file",
        server: || Server::serve(V1).start(),
        then: Some(|server| {
            server.behave_with(|_, _| Reply::Answer(Answer::text(200, "<html>please log in</html>")));
        }),
        right: &[V1],
    },
];

fn model(request: &Request) -> Answer {
    Resource::of(V1).answer(request)
}

fn asked(request: &Request) -> Option<std::ops::Range<u64>> {
    request.range().filter(|_| request.is_get()).and_then(|range| range.within(V1.len))
}

fn labelled(request: &Request, range: std::ops::Range<u64>) -> Reply {
    let mut answer = model(request);
    answer.set("Content-Range", format!("bytes {}-{}/{}", range.start, range.end - 1, V1.len));
    answer.payload(V1, range);
    Reply::Answer(answer)
}

fn early(request: &Request, _: usize) -> Reply {
    asked(request)
        .map_or(Reply::Normal, |range| labelled(request, range.start / 1_000_003 * 1_000_003..range.end))
}

fn from_the_start(request: &Request, _: usize) -> Reply {
    asked(request).map_or(Reply::Normal, |range| labelled(request, 0..range.end - range.start))
}

fn unlabelled(request: &Request, _: usize) -> Reply {
    let Some(range) = asked(request) else { return Reply::Normal };
    let mut answer = model(request);
    answer.payload(V1, 0..range.end - range.start);
    answer.remove("Content-Range");
    Reply::Answer(answer)
}

fn in_parts(request: &Request, _: usize) -> Reply {
    let Some(range) = asked(request) else { return Reply::Normal };
    let mut body = format!(
        "--x\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
        range.start,
        range.end - 1,
        V1.len
    )
    .into_bytes();
    body.extend(V1.bytes(range));
    body.extend(b"\r\n--x--\r\n");
    let mut answer = model(request);
    answer.remove("Content-Range");
    answer.set("Content-Type", "multipart/byteranges; boundary=x");
    answer.bytes(&body);
    Reply::Answer(answer)
}

fn half_of(request: &Request) -> Ending {
    let range = asked(request).unwrap_or(0..V1.len);
    Ending::Close((range.end - range.start).div_ceil(2))
}

fn endless_chunks(exchange: &mut Exchange<'_>) {
    exchange.send_head(200, &[("Transfer-Encoding", "chunked"), ("ETag", "\"v1\"")]);
    exchange.send_raw(format!("{:x}\r\n", V1.len / 2).as_bytes());
    exchange.send_payload(0..V1.len / 2);
    exchange.send_raw(b"\r\n");
    exchange.close();
}

fn without_if_range(request: &Request, exchange: &mut Exchange<'_>) {
    let mut plain = request.clone();
    plain.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("if-range"));
    exchange.send(&v2().answer(&plain));
}

fn unsatisfied(request: &Request, _: usize) -> Reply {
    match asked(request) {
        Some(range) if range.start > 0 => Reply::Answer(Answer::text(416, "no such range")),
        _ => Reply::Normal,
    }
}

/// Result of a run.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Right,
    Wrong,
    Failed(i32),
    Stopped,
}

/// Runs the command under `timeout`, in a directory of its own.
fn run(scenario: &Scenario, command: impl Fn(&str, &Path) -> Vec<String>) -> Came {
    let server = (scenario.server)();
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("file.bin");
    let line = command(&server.url("/file.bin"), &output);
    let start = || {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "20"]).args(&line).current_dir(directory.path());
        command
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    };
    if let Some(then) = scenario.then {
        let gate = Gate::after(V1.len / 2);
        server.set_gate(Some(&gate));
        let mut first = start();
        server.wait_for_body_bytes(V1.len / 2 - MIB);
        // Its state has to be on disk by now: programs save it once a second, or on an interrupt.
        gate.wait_for_waiting(1);
        let _ = Command::new("pkill").args(["-INT", "-P", &first.id().to_string()]).status();
        let _ = first.wait();
        server.hang_up();
        server.recover();
        then(&server);
    }
    let code = start().wait().unwrap().code();
    match code {
        Some(0) => {
            let bytes = std::fs::read(&output).unwrap_or_default();
            let right = scenario.right.iter().any(|payload| payload.compare(&bytes[..]).is_ok());
            if right { Came::Right } else { Came::Wrong }
        }
        Some(124 | 137) | None => Came::Stopped,
        Some(code) => Came::Failed(code),
    }
}

fn words(line: &str, rest: [String; 2]) -> Vec<String> {
    line.split(' ').map(str::to_owned).chain(rest).collect()
}

fn haul(url: &str, output: &Path) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_haul");
    words(&format!("{program} -q -x 4 -k 1M {url}"), ["-o".into(), output.display().to_string()])
}

#[test]
fn no_scenario_ends_well_with_wrong_bytes() {
    for scenario in &SCENARIOS {
        let came = run(scenario, haul);
        assert!(!matches!(came, Came::Wrong | Came::Stopped), "{}: {came:?}", scenario.what);
    }
}

/// A program to compare with: its name, and its command line without URL and output.
type Peer = (&'static str, &'static str);

const PEERS: [Peer; 5] = [
    ("curl", "curl -sS -f -L --retry 3 --retry-delay 0 -C -"),
    ("wget", "wget -q -c -t 4"),
    ("wget2", "wget2 -q -c --tries=4"),
    ("aria2c", "aria2c -q -c -x4 -s4 -k1M -m4 --retry-wait=0 --auto-file-renaming=false -d"),
    ("axel", "axel -q -n 4 -o"),
];

fn peer(line: &str, url: &str, output: &Path) -> Vec<String> {
    let (directory, path) = (output.parent().unwrap().display().to_string(), output.display().to_string());
    match line.split(' ').next() {
        Some("curl") => words(&format!("{line} -o {path}"), [url.into(), "--no-progress-meter".into()]),
        Some("aria2c") => words(&format!("{line} {directory} -o"), ["file.bin".into(), url.into()]),
        Some("axel") => words(line, [path, url.into()]),
        _ => words(&format!("{line} -O"), [path, url.into()]),
    }
}

fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| !line.trim().is_empty())?.to_owned();
    Some(line.split(" (").next().unwrap_or(&line).to_owned())
}

#[test]
fn the_table_of_who_saves_wrong_bytes_can_be_made_again() {
    if std::env::var_os("HAUL_DIFFERENTIAL").is_none_or(|value| value != "1") {
        return;
    }
    let peers: Vec<_> = PEERS.into_iter().filter(|(program, _)| version(program).is_some()).collect();
    assert!(!peers.is_empty(), "none of the programs is installed");
    let mut table = String::from("| the server | haul |");
    peers.iter().for_each(|(name, _)| write!(table, " {name} |").unwrap());
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(peers.len()));
    let mut wrong = vec![0; 1 + peers.len()];
    for scenario in &SCENARIOS {
        write!(table, "\n| {} |", scenario.what).unwrap();
        let mut came = vec![run(scenario, haul)];
        came.extend(peers.iter().map(|(_, line)| run(scenario, |url, output| peer(line, url, output))));
        for (came, wrong) in came.iter().zip(&mut wrong) {
            *wrong += usize::from(*came == Came::Wrong);
            let text = match came {
                Came::Right => "right".to_owned(),
                Came::Wrong => "**exit 0, wrong bytes**".to_owned(),
                Came::Failed(code) => format!("fails ({code})"),
                Came::Stopped => "no end in 20 s".to_owned(),
            };
            write!(table, " {text} |").unwrap();
        }
    }
    table.push_str("\n| **wrong bytes, called success** |");
    wrong.iter().for_each(|count| write!(table, " **{count}** |").unwrap());
    let versions: Vec<_> = peers.iter().filter_map(|(name, _)| version(name)).collect();
    let lines: Vec<_> = peers.iter().map(|(_, line)| format!("- `{line} …`")).collect();
    let text = format!(
        "# Who saves wrong bytes\n\nWritten by `HAUL_DIFFERENTIAL=1 cargo test --release --test it differential`: the same \
         misbehaving servers (`tests/it/differential.rs`) for each program, and what it ended with. \"Resumed\" means that a \
         first run was interrupted half-way and the same command was given again. \"Right\" is exit 0 and one version of the \
         file, byte for byte.\n\n{table}\n\nhaul {} and {}, with\n\n- `haul -q -x 4 -k 1M …`\n{}\n",
        env!("CARGO_PKG_VERSION"),
        versions.join(", "),
        lines.join("\n"),
    );
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differential.md"), text).unwrap();
    assert_eq!(wrong[0], 0, "haul is among those who do");
}
