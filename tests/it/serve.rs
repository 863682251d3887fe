//! `haul serve` and `haul ctl`: a daemon that aria2's clients drive, and what attacks it.

use crate::support::haul::names_in;
use crate::support::proxy::Proxy;
use crate::support::*;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const PAYLOAD: Payload = Payload::mib(351, 8);
const SECRET: &str = "s3cret-of-the-test";

/// A daemon in a sandbox, with a root, a socket and a port of its own.
struct Daemon {
    running: Running,
    port: u16,
}

impl Daemon {
    fn start(sandbox: &Sandbox) -> Self {
        Self::start_with(sandbox, &[])
    }

    fn start_with(sandbox: &Sandbox, more: &[&str]) -> Self {
        let secret = sandbox.write("secret", format!("{SECRET}\n"));
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let running = sandbox
            .haul()
            .args(["serve", "--listen", "127.0.0.1:0", "--socket", "sock", "--session", "session"])
            .args(["--root", "root", "--secret-file", "secret", "--retry", "2"])
            .args(more)
            .deadline(Duration::from_secs(120))
            .spawn();
        let said = running.wait_for_stderr("it listens", |said| said.contains("listening on"));
        let port = said.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap();
        Self { port: port.parse().unwrap(), running }
    }

    /// Sends a request over TCP and returns its status and its body.
    fn raw(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The daemon may refuse it before it has come.
        let _ = write!(stream, "{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut answer = String::new();
        // The daemon may close the connection before it has read everything.
        let _ = stream.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    fn post(&self, body: &str) -> (u16, String) {
        self.raw(&format!("POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", self.port), body)
    }

    /// Calls a method with the secret; returns the result or the error.
    fn call(&self, method: &str, params: &Value) -> Result<Value, Value> {
        let mut all = vec![json!(format!("token:{SECRET}"))];
        all.extend(params.as_array().unwrap().iter().cloned());
        let body = json!({ "jsonrpc": "2.0", "id": "t", "method": method, "params": all }).to_string();
        let (_, answer) = self.post(&body);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        assert_eq!([&answer["jsonrpc"], &answer["id"]], ["2.0", "t"]);
        if answer.get("error").is_some() {
            Err(answer["error"].clone())
        } else {
            Ok(answer["result"].clone())
        }
    }

    fn add(&self, url: &str, options: &Value) -> String {
        self.call("aria2.addUri", &json!([[url], options])).unwrap().as_str().unwrap().to_owned()
    }

    /// Waits until a job has this status.
    fn until(&self, gid: &str, status: &str) -> Value {
        let mut socket = Socket::open(self.port);
        loop {
            let job = self.call("aria2.tellStatus", &json!([gid])).unwrap();
            if job["status"] == status {
                return job;
            }
            assert!(!["complete", "error", "removed"].contains(&job["status"].as_str().unwrap()), "{job}");
            socket.next_note();
        }
    }
}

/// A client over WebSocket.
struct Socket(TcpStream);

impl Socket {
    fn open(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        write!(
            stream,
            "GET /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self(stream)
    }

    fn send(&mut self, text: &str) {
        let mask = [1_u8, 2, 3, 4];
        let mut frame = vec![0x81];
        match text.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).unwrap();
    }

    /// The next message; `None` if none comes for a while.
    fn next(&mut self) -> Option<Value> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).unwrap();
                u64::from_be_bytes(length) as usize
            }
            short => usize::from(short),
        };
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).ok()
    }

    /// Waits for the next notification, at most for half a second: what it waits for may have happened already.
    fn next_note(&mut self) {
        let _ = self.next();
    }
}

#[test]
fn a_client_adds_a_file_and_hears_of_its_end() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let mut socket = Socket::open(daemon.port);
    let url = server.url("/file.bin");
    let add = json!({
        "jsonrpc": "2.0", "id": 7, "method": "aria2.addUri",
        "params": [format!("token:{SECRET}"), [url], { "out": "d/saved.bin", "split": "4" }],
    });
    socket.send(&add.to_string());
    let (mut gid, mut notes) = (None, Vec::new());
    while !notes.contains(&"aria2.onDownloadComplete".to_owned()) {
        let Some(message) = socket.next() else { continue };
        match message["method"].as_str() {
            Some(method) => notes.push(method.to_owned()),
            None => gid = message["result"].as_str().map(str::to_owned),
        }
    }
    assert!(notes.contains(&"aria2.onDownloadStart".to_owned()), "{notes:?}");
    let gid = gid.unwrap();
    assert_eq!(gid.len(), 16);
    let job = daemon.call("aria2.tellStatus", &json!([gid])).unwrap();
    let path = fs::canonicalize(sandbox.path("root")).unwrap().join("d/saved.bin");
    assert_eq!(job["files"][0]["path"], path.to_str().unwrap());
    assert_eq!([&job["status"], &job["errorCode"]], ["complete", "0"]);
    assert_eq!(job["totalLength"], PAYLOAD.len.to_string());
    assert_eq!(job["bitfield"], "ff");
    PAYLOAD.assert_file_is(&path);
    assert_eq!(fs::metadata(sandbox.path("sock")).unwrap().permissions().mode() & 0o777, 0o600);
    daemon.call("aria2.shutdown", &json!([])).unwrap();
    daemon.running.wait().assert_ok();
    assert!(!sandbox.path("sock").exists());
}

#[test]
fn a_daemon_that_is_killed_goes_on_with_the_same_jobs() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let runs = daemon.add(&server.url("/a.bin"), &json!({ "split": "1" }));
    let paused = daemon.add(&server.url("/b.bin"), &json!({ "pause": "true", "gid": "00c0ffee00c0ffee" }));
    assert_eq!(paused, "00c0ffee00c0ffee");
    while fs::metadata(sandbox.path("root/a.bin.haul")).map_or(0, |found| found.len()) < 200 {
        Socket::open(daemon.port).next_note();
    }
    daemon.running.kill();
    server.recover();
    let daemon = Daemon::start(&sandbox);
    daemon.until(&runs, "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/a.bin"));
    let job = daemon.call("aria2.tellStatus", &json!([paused, ["status", "gid"]])).unwrap();
    assert_eq!(job, json!({ "status": "paused", "gid": paused }));
    daemon.call("aria2.unpause", &json!([paused])).unwrap();
    daemon.until(&paused, "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/b.bin"));
    daemon.running.signal("TERM");
    daemon.running.wait().assert_ok();
}

#[test]
fn a_job_that_fails_has_the_code_of_aria2() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/gone" => Reply::Status(404),
            "/forbidden" => Reply::Status(403),
            _ => Reply::Normal,
        })
        .start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let wrong = format!("sha-256={}", "0".repeat(64));
    for (path, options, code) in [
        ("/gone", json!({}), "3"),
        ("/forbidden", json!({}), "24"),
        ("/wrong", json!({ "checksum": wrong }), "32"),
    ] {
        let gid = daemon.add(&server.url(path), &options);
        let job = daemon.until(&gid, "error");
        assert_eq!(job["errorCode"], code, "{job}");
        assert!(!job["errorMessage"].as_str().unwrap().is_empty());
    }
    // Ended jobs can be taken off the list, one by one or all.
    let ended = daemon.call("aria2.tellStopped", &json!([0, 10, ["gid"]])).unwrap();
    assert_eq!(ended.as_array().map(Vec::len), Some(3));
    daemon.call("aria2.removeDownloadResult", &json!([ended[0]["gid"]])).unwrap();
    daemon.call("aria2.purgeDownloadResult", &json!([])).unwrap();
    assert_eq!(daemon.call("aria2.tellStopped", &json!([0, 10])), Ok(json!([])));
}

#[test]
fn a_running_job_is_paused_limited_moved_and_removed() {
    let server = Server::serve(PAYLOAD).rate(MIB).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start_with(&sandbox, &["-j", "1"]);
    let url = |name: &str| server.url(&format!("/{name}.bin"));
    let first = daemon.add(&url("1"), &json!({ "max-connection-per-server": "2" }));
    let (second, third) = (daemon.add(&url("2"), &json!({})), daemon.add(&url("3"), &json!({})));
    daemon.until(&first, "active");
    let gids = |daemon: &Daemon, offset: i64| {
        let listed = daemon.call("aria2.tellWaiting", &json!([offset, 10, ["gid"]])).unwrap();
        let gid = |job: &Value| job["gid"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(gid).collect::<Vec<_>>()
    };
    assert_eq!(gids(&daemon, 0), [second.clone(), third.clone()]);
    assert_eq!(gids(&daemon, -1), [third.clone(), second.clone()]);
    assert_eq!(daemon.call("aria2.changePosition", &json!([third, 0, "POS_SET"])), Ok(json!(0)));
    assert_eq!(gids(&daemon, 0), [third.clone(), second.clone()]);
    let changed = json!([first, { "max-download-limit": "100K", "split": "1" }]);
    assert_eq!(daemon.call("aria2.changeOption", &changed), Ok(json!("OK")));
    let options = daemon.call("aria2.getOption", &json!([first])).unwrap();
    assert_eq!([&options["max-download-limit"], &options["split"]], ["100K", "1"]);
    daemon.call("aria2.forcePause", &json!([first])).unwrap();
    daemon.until(&first, "paused");
    // Its slot goes to the next one.
    daemon.until(&third, "active");
    let mut socket = Socket::open(daemon.port);
    while daemon.call("aria2.tellStatus", &json!([third])).unwrap()["completedLength"] == "0" {
        socket.next_note();
    }
    assert_eq!(daemon.call("aria2.remove", &json!([third])), Ok(json!(third)));
    let removed = daemon.call("aria2.tellStatus", &json!([third, ["status"]])).unwrap();
    assert_eq!(removed["status"], "removed");
    // Received bytes stay, with their manifest.
    assert!(sandbox.path("root/3.bin.haul").exists());
    let stat = daemon.call("aria2.getGlobalStat", &json!([])).unwrap();
    assert_eq!(stat["numStopped"], "1");
    daemon.call("aria2.pauseAll", &json!([])).unwrap();
    daemon.until(&second, "paused");
    daemon.running.signal("TERM");
    let outcome = daemon.running.wait();
    outcome.assert_ok();
}

#[test]
fn headers_of_a_job_that_is_not_running_change_and_what_has_come_of_it_is_kept() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let given = json!({ "header": ["X-A: old"], "user-agent": "old", "split": "1" });
    let begun = daemon.add(&server.url("/begun"), &given);
    gate.wait_for_waiting(1);
    let mut socket = Socket::open(daemon.port);
    while fs::metadata(sandbox.path("root/begun.haul")).map_or(0, |found| found.len()) < 200 {
        socket.next_note();
    }
    daemon.call("aria2.pause", &json!([begun])).unwrap();
    daemon.until(&begun, "paused");
    let waits = daemon
        .add(&server.url("/waits"), &json!({ "header": ["X-A: old"], "user-agent": "old", "pause": "true" }));
    server.recover();
    server.forget();
    for gid in [&begun, &waits] {
        let change = |options: Value| daemon.call("aria2.changeOption", &json!([gid, options]));
        assert_eq!(change(json!({ "user-agent": "new" })), Ok(json!("OK")));
        assert_eq!(change(json!({ "header": ["X-B: new"] })), Ok(json!("OK")));
        assert!(change(json!({ "header": ["no header"] })).is_err());
        daemon.until(gid, "paused");
        let options = daemon.call("aria2.getOption", &json!([gid])).unwrap();
        assert_eq!([&options["user-agent"], &options["header"]], [&json!("new"), &Value::Null]);
        daemon.call("aria2.unpause", &json!([gid])).unwrap();
        daemon.until(gid, "complete");
    }
    for request in server.requests() {
        assert_eq!(
            [request.header("user-agent"), request.header("x-b"), request.header("x-a")],
            [Some("new"), Some("new"), None],
            "{}",
            request.target
        );
    }
    let of_begun = server.gets().iter().filter(|get| get.target == "/begun").map(|get| get.body).sum::<u64>();
    assert!(of_begun < PAYLOAD.len - MIB, "{of_begun} bytes came once more");
    PAYLOAD.assert_file_is(&sandbox.path("root/begun"));
    PAYLOAD.assert_file_is(&sandbox.path("root/waits"));
}

#[test]
fn other_headers_make_a_running_job_ask_anew_for_the_rest() {
    let gate = Gate::after(2 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let gid = daemon.add(&server.url("/f"), &json!({ "header": ["X-A: old"], "split": "1" }));
    gate.wait_for_waiting(1);
    server.recover();
    daemon.call("aria2.changeOption", &json!([gid, { "header": ["X-A: new"] }])).unwrap();
    server.wait_until("it is asked for with the new header", |log| {
        log.gets().any(|get| get.header("x-a") == Some("new"))
    });
    gate.open();
    daemon.until(&gid, "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/f"));
}

#[test]
fn a_job_goes_through_a_proxy_of_its_own() {
    let server = Server::serve(PAYLOAD).start();
    let (sandbox, proxy) = (Sandbox::new(), Proxy::http(Some("Basic bWU6czNjcmV0")));
    let daemon = Daemon::start(&sandbox);
    let url = |name: &str| server.url(&format!("/{name}"));
    let through = json!({
        "all-proxy": format!("http://127.0.0.1:{}", proxy.port()),
        "all-proxy-user": "me", "all-proxy-passwd": "s3cret",
    });
    let (own, direct) = (daemon.add(&url("own"), &through), daemon.add(&url("direct"), &json!({})));
    daemon.until(&own, "complete");
    daemon.until(&direct, "complete");
    let targets = |heads: &[String]| heads.iter().map(|head| head.contains("/own ")).collect::<Vec<_>>();
    let heads = proxy.heads();
    assert!(!heads.is_empty() && targets(&heads).iter().all(|is_own| *is_own), "{heads:?}");
    let options = daemon.call("aria2.getOption", &json!([own])).unwrap();
    assert!(!options.to_string().contains("s3cret"), "{options}");
    // One that waits is given another way.
    let mut waiting = through.clone();
    waiting["pause"] = "true".into();
    let waits = daemon.add(&url("waits"), &waiting);
    daemon.call("aria2.changeOption", &json!([waits, { "all-proxy": "" }])).unwrap();
    daemon.call("aria2.unpause", &json!([waits])).unwrap();
    daemon.until(&waits, "complete");
    assert_eq!(proxy.heads().len(), heads.len());
    let refused = daemon.call("aria2.addUri", &json!([[url("x")], { "all-proxy": "ftp://u:s3cret@h:1" }]));
    let refused = refused.unwrap_err()["message"].to_string();
    assert!(refused.contains("proxy") && !refused.contains("s3cret"), "{refused}");
    assert!(daemon.call("aria2.changeOption", &json!([waits, { "all-proxy": "nonsense" }])).is_err());
    for name in ["own", "direct", "waits"] {
        PAYLOAD.assert_file_is(&sandbox.path("root").join(name));
    }
}

#[test]
fn methods_have_the_shapes_of_aria2() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let url = server.url("/file.bin");
    let gid = daemon.add(&url, &json!({ "pause": "true", "header": ["A: b"], "seed-ratio": "1.0" }));
    for (method, params, shape) in [
        ("aria2.getVersion", json!([]), json!({ "version": "", "enabledFeatures": [] })),
        ("aria2.getSessionInfo", json!([]), json!({ "sessionId": "" })),
        ("aria2.getGlobalOption", json!([]), json!({ "dir": "", "max-concurrent-downloads": "" })),
        ("aria2.getUris", json!([gid]), json!([{ "uri": "", "status": "" }])),
        (
            "aria2.getFiles",
            json!([gid]),
            json!([{ "index": "", "path": "", "length": "", "completedLength": "", "selected": "", "uris": [] }]),
        ),
        ("aria2.getOption", json!([gid]), json!({ "pause": "", "dir": "", "seed-ratio": "" })),
        ("aria2.getPeers", json!([gid]), json!([])),
        ("aria2.saveSession", json!([]), json!("")),
        ("aria2.changeGlobalOption", json!([{ "max-overall-download-limit": "5M" }]), json!("")),
        (
            "aria2.tellStatus",
            json!([gid]),
            json!({
                "gid": "", "status": "", "totalLength": "", "completedLength": "", "uploadLength": "", "downloadSpeed": "",
                "uploadSpeed": "", "connections": "", "dir": "", "files": [], "numPieces": "", "pieceLength": "",
            }),
        ),
        (
            "aria2.getGlobalStat",
            json!([]),
            json!({
                "downloadSpeed": "", "uploadSpeed": "", "numActive": "", "numWaiting": "", "numStopped": "",
                "numStoppedTotal": "",
            }),
        ),
    ] {
        let result = daemon.call(method, &params).unwrap();
        assert_shape(&result, &shape, method);
    }
    let methods = daemon.call("system.listMethods", &json!([])).unwrap();
    assert!(methods.as_array().unwrap().len() >= 36);
    for method in ["aria2.addTorrent", "aria2.tellStatus", "aria2.changePosition", "aria2.pause"] {
        let error = daemon.call(method, &json!(["ffffffffffffffff"])).unwrap_err();
        assert_eq!(error["code"], 1, "{method}: {error}");
    }
    assert_eq!(daemon.call("aria2.nonsense", &json!([])).unwrap_err()["code"], 1);
    // A seed ratio has no effect here, which is said once.
    daemon.running.wait_for_stderr("the option is named", |said| said.contains("seed-ratio"));
    // A GET carries its parameters in base64.
    let params = "WyJ0b2tlbjpzM2NyZXQtb2YtdGhlLXRlc3QiXQ==";
    let head = format!(
        "GET /jsonrpc?method=aria2.getVersion&id=g&params={params} HTTP/1.1\r\nHost: localhost:{}\r\n",
        daemon.port
    );
    let (status, body) = daemon.raw(&head, "");
    assert!(status == 200 && body.contains("enabledFeatures"), "{body}");
}

/// Every key of the shape is there, with a value of its type.
fn assert_shape(value: &Value, shape: &Value, what: &str) {
    match (value, shape) {
        (Value::Object(value), Value::Object(shape)) => {
            for (key, inner) in shape {
                assert_shape(value.get(key).unwrap_or(&Value::Null), inner, &format!("{what}: {key}"));
            }
        }
        (Value::Array(value), Value::Array(shape)) => {
            if let Some(inner) = shape.first() {
                assert_shape(&value[0], inner, what);
            }
        }
        (Value::String(_), Value::String(_)) => {}
        _ => panic!("{what}: {value} is not like {shape}"),
    }
}

#[test]
fn calls_come_in_batches_and_in_multicalls() {
    let server = Server::serve(Payload::new(352, 1000)).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let token = format!("token:{SECRET}");
    let add = |number: usize| {
        json!({
            "methodName": "aria2.addUri",
            "params": [token, [server.url("/f")], { "out": format!("{number}"), "pause": "true" }],
        })
    };
    let calls: Vec<_> = (0..500).map(add).collect();
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "system.multicall", "params": [calls] }).to_string();
    let (status, answer) = daemon.post(&body);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let gids = answer["result"].as_array().unwrap();
    assert!(status == 200 && gids.len() == 500 && gids.iter().all(|gid| gid[0].is_string()), "{answer}");
    // They wait in the order in which they were added.
    let listed = daemon.call("aria2.tellWaiting", &json!([0, 500, ["gid"]])).unwrap();
    let order: Vec<_> = listed.as_array().unwrap().iter().map(|job| job["gid"].clone()).collect();
    assert_eq!(order, gids.iter().map(|gid| gid[0].clone()).collect::<Vec<_>>());
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "aria2.getVersion", "params": [token] },
        { "jsonrpc": "2.0", "id": 2, "method": "aria2.nonsense", "params": [token] },
        { "jsonrpc": "2.0", "id": 3, "method": "system.multicall",
          "params": [[{ "methodName": "system.multicall", "params": [token, []] }]] },
    ]);
    let (_, answer) = daemon.post(&batch.to_string());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer[0]["result"].is_object(), "{answer}");
    assert_eq!(answer[1]["error"]["code"], 1);
    assert!(answer[2]["result"][0]["message"].as_str().unwrap().contains("forbidden"), "{answer}");
}

#[test]
fn attacks_reach_neither_a_file_nor_a_job() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    symlink("/tmp", sandbox.path("root/out")).unwrap();
    let url = server.url("/f");
    let port = daemon.port;
    let add = |token: &str| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "aria2.addUri", "params": [token, [url]] }).to_string()
    };
    let right = add(&format!("token:{SECRET}"));
    // Pages of other sites, and names that lead here.
    for head in [
        format!("POST /jsonrpc HTTP/1.1\r\nHost: evil.example:{port}\r\n"),
        format!("POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: https://evil.example\r\n"),
        format!("POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: null\r\n"),
        "GET /jsonrpc HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            .to_owned(),
        format!("OPTIONS /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: https://evil.example\r\n"),
    ] {
        assert_eq!(daemon.raw(&head, &right).0, 403, "{head}");
    }
    let form = format!(
        "POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n"
    );
    assert_eq!(daemon.raw(&form, &right).0, 415);
    // Wrong and missing secrets.
    for token in ["token:", "token:x", "nothing", "token:s3cret-of-the-tes"] {
        let (status, answer) = daemon.post(&add(token));
        assert!(status == 400 && answer.contains("Unauthorized"), "{token}: {answer}");
    }
    // Ways out of the root, into other files, and into other headers.
    for options in [
        json!({ "dir": "/etc" }),
        json!({ "dir": "../.." }),
        json!({ "out": "../x" }),
        json!({ "out": "/tmp/x" }),
        json!({ "dir": "out" }),
        json!({ "out": "out/x" }),
        json!({ "header": ["A: b\r\nEvil: 1"] }),
        json!({ "user-agent": "a\nEvil: 1" }),
        json!({ "on-download-complete": "/bin/true" }),
        json!({ "load-cookies": "/etc/passwd" }),
        json!({ "save-session": "/tmp/x" }),
        json!({ "gid": "nonsense" }),
    ] {
        let error = daemon.call("aria2.addUri", &json!([[url], options])).unwrap_err();
        assert_eq!(error["code"], 1, "{options}: {error}");
        if options.get("gid").is_none() && options.get("header").is_none() {
            let changed = daemon.call("aria2.changeGlobalOption", &json!([options]));
            assert!(changed.is_err() || options.get("user-agent").is_some(), "{options}");
        }
    }
    // Bombs.
    let deep = "[".repeat(100_000);
    assert_ne!(daemon.post(&deep).0, 200);
    let long = format!("POST /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nA: {}\r\n", "x".repeat(1 << 20));
    assert_ne!(daemon.raw(&long, &right).0, 200);
    let large = format!("\"{}\"", "x".repeat(17 << 20));
    assert_ne!(daemon.post(&large).0, 200);
    let many = format!("[{}]", vec!["{}"; 20_001].join(","));
    assert_eq!(daemon.post(&many).0, 400);
    // Nothing of that has become a job or a file, and the daemon goes on.
    let stat = daemon.call("aria2.getGlobalStat", &json!([])).unwrap();
    assert_eq!([&stat["numActive"], &stat["numWaiting"], &stat["numStopped"]], ["0", "0", "0"]);
    assert_eq!(names_in(&sandbox.path("root")), ["out"]);
    assert!(server.requests().is_empty());
    daemon.running.signal("TERM");
    daemon.running.wait().assert_ok();
}

#[test]
fn more_connections_than_there_are_places_for_harm_nobody() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let idle: Vec<_> = (0..600).map_while(|_| TcpStream::connect(("127.0.0.1", daemon.port)).ok()).collect();
    assert!(idle.len() == 600);
    assert!(daemon.call("aria2.getVersion", &json!([])).is_ok());
    // Sockets that only listen keep their places until others need them.
    let silent: Vec<_> = (0..520).map(|_| Socket::open(daemon.port)).collect();
    assert!(daemon.call("aria2.getVersion", &json!([])).is_ok());
    drop((idle, silent));
}

#[test]
fn a_page_an_allowed_origin_and_figures_are_served() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::start_with(&sandbox, &["--allow-origin", "https://ui.example"]);
    let get = |path: &str, more: &str| {
        daemon.raw(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{more}", daemon.port), "")
    };
    let (status, page) = get("/", "");
    assert!(status == 200 && page.contains("<title>haul</title>"));
    // Nothing is loaded from elsewhere.
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
    assert_eq!(get("/healthz", ""), (200, "ok\n".to_owned()));
    assert!(get("/metrics", "").1.contains("haul_jobs{state=\"running\"} 0"));
    assert_eq!(get("/nowhere", "").0, 404);
    let head = format!(
        "OPTIONS /jsonrpc HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nOrigin: https://ui.example\r\n",
        daemon.port
    );
    assert_eq!(daemon.raw(&head, "").0, 200);
}

#[test]
fn ctl_drives_the_daemon_over_its_socket() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let ctl = |args: &[&str]| sandbox.haul().args(["ctl", "--socket", "sock"]).args(args).run();
    ctl(&["list"]).assert_failed(3).assert_says("no daemon answers");
    let daemon = Daemon::start(&sandbox);
    let url = server.url("/file.bin");
    let added = ctl(&["add", &url, "--out", "named.bin", "--paused"]);
    let gid = added.stdout_text().trim().to_owned();
    assert_eq!(gid.len(), 16);
    ctl(&["limit", "50M"]).assert_ok();
    ctl(&["limit", "5M", &gid]).assert_ok();
    ctl(&["resume", &gid]).assert_ok();
    let outcome = ctl(&["--json", "watch"]);
    outcome.assert_ok();
    PAYLOAD.assert_file_is(&sandbox.path("root/named.bin"));
    let listed = ctl(&["list"]).stdout_text();
    assert!(listed.contains("complete") && listed.contains("named.bin"), "{listed}");
    ctl(&["remove", &gid]).assert_ok();
    assert_eq!(ctl(&["list"]).stdout_text(), "");
    ctl(&["pause", "nonsense"]).assert_failed(2).assert_says("Invalid GID");
    ctl(&["stop"]).assert_ok();
    daemon.running.wait().assert_ok();
}

#[test]
fn a_socket_that_is_in_use_is_told_with_a_way_out() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox);
    let second = sandbox
        .haul()
        .args(["serve", "--listen", "127.0.0.1:0", "--socket", "sock", "--session", "other"])
        .args(["--secret-file", "secret"])
        .run();
    second.assert_failed(1).assert_says("cannot listen on sock").assert_says("--socket PATH");
}

#[test]
fn the_secret_is_made_once_and_is_the_users_alone() {
    let sandbox = Sandbox::new();
    let serve = || {
        let running = sandbox.haul().args(["serve", "--listen", "127.0.0.1:0", "--socket", "sock"]).spawn();
        running.wait_for_stderr("it listens", |said| said.contains("listening on"));
        UnixStream::connect(sandbox.path("sock")).unwrap();
        running.signal("INT");
        running.wait().assert_ok();
        let files = sandbox.outside();
        let (path, bytes) = files.into_iter().find(|(path, _)| path.ends_with("rpc-secret")).unwrap();
        (path, bytes)
    };
    let (path, first) = serve();
    assert_eq!(first.len(), 33);
    assert_eq!(serve().1, first);
    let open = sandbox.write("open", "s");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = sandbox.haul().args(["serve", "--listen", "127.0.0.1:0", "--secret-file", "open"]).run();
    outcome.assert_failed(13).assert_says("open to other users");
    drop(path);
}

/// Puts a link that leads out of the root in the place of a directory.
fn lead_out(sandbox: &Sandbox, directory: &str) -> std::path::PathBuf {
    let outside = sandbox.path("outside");
    fs::create_dir_all(&outside).unwrap();
    let place = sandbox.path("root").join(directory);
    let _ = fs::rename(&place, sandbox.path("moved"));
    symlink(&outside, place).unwrap();
    outside
}

#[test]
fn a_link_that_is_made_after_a_job_was_added_leads_no_job_out_of_the_root() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let refused = |gid: &str, outside: &std::path::Path| {
        let job = daemon.until(gid, "error");
        // One that had begun misses its files first.
        let said = job["errorMessage"].as_str().unwrap();
        assert!(said.contains("leads out of") || said.contains("removed"), "{job}");
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
    };
    // It waits.
    for options in [json!({ "dir": "d", "pause": "true" }), json!({ "out": "d/e/f", "pause": "true" })] {
        let gid = daemon.add(&server.url("/file.bin"), &options);
        let outside = lead_out(&sandbox, "d");
        daemon.call("aria2.unpause", &json!([gid])).unwrap();
        refused(&gid, &outside);
        fs::remove_file(sandbox.path("root/d")).unwrap();
    }
    // It has asked the server.
    for payload in [PAYLOAD, Payload { len: 1000, ..PAYLOAD }] {
        let gate = Gate::shut();
        let held = Server::serve(payload).gate(&gate).start();
        let gid = daemon.add(&held.url("/file.bin"), &json!({ "dir": "g", "split": "1" }));
        gate.wait_for_waiting(1);
        let manifest = sandbox.path("root/g/file.bin.haul");
        while payload.len > MIB && !manifest.exists() {
            std::thread::yield_now();
        }
        let outside = lead_out(&sandbox, "g");
        gate.open();
        refused(&gid, &outside);
        fs::remove_file(sandbox.path("root/g")).unwrap();
        let _ = fs::remove_dir_all(sandbox.path("moved"));
    }
    // A link that stays in the root is followed.
    fs::create_dir(sandbox.path("root/in")).unwrap();
    symlink("in", sandbox.path("root/link")).unwrap();
    let gid = daemon.add(&server.url("/file.bin"), &json!({ "dir": "link" }));
    daemon.until(&gid, "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/in/file.bin"));
}

#[test]
fn tries_and_timeouts_are_those_of_the_job() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| match request.path() {
            "/busy" => Reply::Status(503),
            _ => Reply::NoAnswer,
        })
        .start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let began = std::time::Instant::now();
    let hangs = json!({ "timeout": "1", "connect-timeout": "2", "max-tries": "2" });
    let job = daemon.until(&daemon.add(&server.url("/hang"), &hangs), "error");
    assert!(job["errorMessage"].as_str().unwrap().contains("within 1 s"), "{job}");
    let gets = || server.gets().len();
    let hung = gets();
    let waits = json!({ "max-tries": "2", "retry-wait": "1" });
    daemon.until(&daemon.add(&server.url("/busy"), &waits), "error");
    // A refusal may be asked about once more by itself.
    assert!((2..=3).contains(&(gets() - hung)), "{}", gets() - hung);
    let passed = began.elapsed();
    assert!((3..15).contains(&passed.as_secs()), "{passed:?}");
    for wrong in [json!({ "timeout": "0" }), json!({ "retry-wait": "-1" }), json!({ "max-tries": "x" })] {
        assert!(daemon.call("aria2.addUri", &json!([[server.url("/f")], wrong])).is_err(), "{wrong}");
    }
}

#[test]
fn a_socket_that_only_listens_hears_of_jobs_and_nothing_but_their_identifiers() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let mut silent = Socket::open(daemon.port);
    let gid = daemon.add(&server.url("/file.bin?secret=S3CR"), &json!({}));
    let note = |method: &str| json!({ "jsonrpc": "2.0", "method": method, "params": [{ "gid": gid }] });
    let mut heard = Vec::new();
    while heard.last() != Some(&note("aria2.onDownloadComplete")) {
        heard.extend(silent.next());
    }
    assert_eq!(heard, [note("aria2.onDownloadStart"), note("aria2.onDownloadComplete")]);
}

#[test]
fn a_call_of_many_without_the_secret_fails_alone_and_a_guess_takes_time() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let multicall = |calls: Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "system.multicall", "params": [calls] });
        let answer: Value = serde_json::from_str(&daemon.post(&body.to_string()).1).unwrap();
        answer["result"].as_array().unwrap().iter().map(Value::is_array).collect::<Vec<_>>()
    };
    let call = |method: &str, token: Option<&str>| {
        let params: Vec<_> = token.map(|token| format!("token:{token}")).into_iter().collect();
        json!({ "methodName": method, "params": params })
    };
    let version = |token: Option<&str>| call("aria2.getVersion", token);
    let open = call("system.listMethods", None);
    assert_eq!(multicall(json!([version(None), version(Some(SECRET)), open])), [false, true, true]);
    let began = std::time::Instant::now();
    // Many calls are one guess, and the first counts.
    let guesses = json!([version(Some("x")), version(Some(SECRET)), open]);
    assert_eq!(multicall(guesses), [false, false, true]);
    assert!(began.elapsed() >= Duration::from_millis(500));
    let batch = |calls: Value| {
        let answers: Value = serde_json::from_str(&daemon.post(&calls.to_string()).1).unwrap();
        answers.as_array().unwrap().iter().map(|answer| answer["error"].is_null()).collect::<Vec<_>>()
    };
    let single = |method: &str, token: &str| json!({ "id": 1, "method": method, "params": [format!("token:{token}")] });
    let calls = json!([
        single("aria2.getVersion", "x"),
        single("aria2.getVersion", SECRET),
        single("system.listMethods", "")
    ]);
    assert_eq!(batch(calls), [false, false, true]);
}

#[test]
fn a_job_that_was_paused_while_it_ran_is_moved_like_one_that_waits() {
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start_with(&sandbox, &["-j", "1"]);
    let first = daemon.add(&server.url("/1.bin"), &json!({ "split": "1" }));
    gate.wait_for_waiting(1);
    let waits = json!({ "pause": "true" });
    let others = ["/2.bin", "/3.bin"].map(|path| daemon.add(&server.url(path), &waits));
    daemon.call("aria2.pause", &json!([first])).unwrap();
    daemon.until(&first, "paused");
    assert_eq!(daemon.call("aria2.changePosition", &json!([first, 1, "POS_SET"])), Ok(json!(1)));
    let gids = || {
        let listed = daemon.call("aria2.tellWaiting", &json!([0, 10, ["gid"]])).unwrap();
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["gid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut socket = Socket::open(daemon.port);
    while gids() != [others[0].clone(), first.clone(), others[1].clone()] {
        socket.next_note();
    }
    gate.open();
    daemon.call("aria2.unpause", &json!([first])).unwrap();
    daemon.until(&first, "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/1.bin"));
}

#[test]
fn a_removed_job_is_still_told_of_in_its_place() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let url = server.url("/file.bin");
    let removed = daemon.add(&url, &json!({ "pause": "true", "split": "3" }));
    daemon.call("aria2.remove", &json!([removed])).unwrap();
    let done = daemon.add(&url, &json!({}));
    daemon.until(&done, "complete");
    let last = daemon.add(&url, &json!({ "pause": "true" }));
    daemon.call("aria2.forceRemove", &json!([last])).unwrap();
    let stopped = daemon.call("aria2.tellStopped", &json!([0, 10, ["gid"]])).unwrap();
    assert_eq!(stopped, json!([{ "gid": removed }, { "gid": done }, { "gid": last }]));
    let of = |method: &str| daemon.call(method, &json!([removed])).unwrap();
    assert_eq!(of("aria2.getUris"), json!([{ "uri": url, "status": "waiting" }]));
    assert_eq!(of("aria2.getFiles")[0]["uris"][0]["uri"], url);
    assert_eq!(of("aria2.getOption")["split"], "3");
    let keys = json!([removed, ["status", "errorCode"]]);
    assert_eq!(daemon.call("aria2.tellStatus", &keys), Ok(json!({ "status": "removed", "errorCode": "31" })));
    daemon.call("aria2.removeDownloadResult", &json!([removed])).unwrap();
    assert!(daemon.call("aria2.getFiles", &json!([removed])).is_err());
}

#[test]
fn an_identifier_that_a_client_chose_and_those_of_the_queue_live_together() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let add = |gid: Option<&str>, out: &str| {
        let mut options = json!({ "pause": "true", "out": out });
        if let Some(gid) = gid {
            options["gid"] = gid.into();
        }
        daemon.call("aria2.addUri", &json!([[server.url("/f")], options]))
    };
    let chosen = "0000000000000002";
    assert_eq!(add(Some(chosen), "a"), Ok(json!(chosen)));
    let second = add(None, "b").unwrap();
    assert_ne!(second, chosen);
    let third = add(None, "c").unwrap();
    for taken in [chosen, third.as_str().unwrap(), "0000000000000000", "5"] {
        assert!(add(Some(taken), "d").is_err(), "{taken}");
    }
    let name = |daemon: &Daemon, gid: &Value| {
        daemon.call("aria2.getFiles", &json!([gid])).unwrap()[0]["path"].as_str().unwrap().chars().last()
    };
    let names = |daemon: &Daemon| [&json!(chosen), &second, &third].map(|gid| name(daemon, gid).unwrap());
    assert_eq!(names(&daemon), ['a', 'b', 'c']);
    daemon.running.kill();
    let daemon = Daemon::start(&sandbox);
    assert_eq!(names(&daemon), ['a', 'b', 'c']);
}

#[test]
fn a_name_that_is_taken_is_changed_and_one_of_a_removed_job_is_not_taken() {
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let other = Server::serve(Payload::mib(353, 4)).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let begun = daemon.add(&server.url("/file.bin"), &json!({ "split": "1" }));
    gate.wait_for_waiting(1);
    let mut socket = Socket::open(daemon.port);
    while fs::metadata(sandbox.path("root/file.bin.haul")).map_or(0, |found| found.len()) < 200 {
        socket.next_note();
    }
    daemon.call("aria2.remove", &json!([begun])).unwrap();
    let url = other.url("/file.bin");
    daemon.until(&daemon.add(&url, &json!({})), "complete");
    Payload::mib(353, 4).assert_file_is(&sandbox.path("root/file.bin"));
    let again = daemon.until(&daemon.add(&url, &json!({})), "complete");
    assert!(again["files"][0]["path"].as_str().unwrap().ends_with("/file.1.bin"), "{again}");
    daemon.until(&daemon.add(&url, &json!({ "continue": "true" })), "complete");
    let kept = daemon.add(&server.url("/file.bin"), &json!({ "auto-file-renaming": "false" }));
    assert_eq!(daemon.until(&kept, "error")["errorCode"], "13");
}

#[test]
fn cookies_come_from_a_file_in_the_root() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    fs::write(sandbox.path("root/jar"), "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\tS3CR\n").unwrap();
    let gid = daemon.add(&server.url("/f"), &json!({ "load-cookies": "jar" }));
    daemon.until(&gid, "complete");
    assert!(server.gets().iter().all(|get| get.header("cookie") == Some("a=S3CR")));
    assert!(!daemon.call("aria2.getOption", &json!([gid])).unwrap().to_string().contains("S3CR"));
    for path in ["/etc/passwd", "../secret"] {
        let add = json!([[server.url("/g")], { "load-cookies": path }]);
        assert!(daemon.call("aria2.addUri", &add).is_err(), "{path}");
    }
    assert!(daemon.call("aria2.changeGlobalOption", &json!([{ "load-cookies": "jar" }])).is_err());
}

#[test]
fn a_job_without_a_name_has_that_of_its_answer() {
    let server = Server::serve(PAYLOAD).start();
    let place = server.url("/models/real.bin");
    server.behave_with(move |request, _| match request.path() {
        "/latest" => Reply::Redirect(302, place.clone()),
        _ => Reply::Normal,
    });
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let job = daemon.until(&daemon.add(&server.url("/latest"), &json!({})), "complete");
    assert!(job["files"][0]["path"].as_str().unwrap().ends_with("/real.bin"), "{job}");
    daemon.until(&daemon.add(&server.url("/latest"), &json!({ "out": "mine" })), "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/mine"));
}

#[test]
fn a_place_can_change_until_the_job_begins() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let gid = daemon.add(&server.url("/f"), &json!({ "dir": "d", "out": "a", "pause": "true" }));
    let change = |options: Value| daemon.call("aria2.changeOption", &json!([gid, options]));
    assert_eq!(change(json!({ "dir": "d", "out": "a" })), Ok(json!("OK")));
    assert_eq!(change(json!({ "out": "b" })), Ok(json!("OK")));
    assert!(change(json!({ "dir": "/etc" })).is_err());
    assert_eq!(daemon.call("aria2.getOption", &json!([gid])).unwrap()["out"], "b");
    daemon.call("aria2.unpause", &json!([gid])).unwrap();
    daemon.until(&gid, "complete");
    PAYLOAD.assert_file_is(&sandbox.path("root/d/b"));
    assert_eq!(change(json!({ "out": "b" })), Ok(json!("OK")));
    assert!(change(json!({ "out": "c" })).is_err());
}

#[test]
fn options_are_told_with_those_of_aria2_and_refused_where_they_make_no_sense() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    for (options, is_taken) in [
        (json!({ "max-concurrent-downloads": "0" }), false),
        (json!({ "split": "0" }), false),
        (json!({ "max-connection-per-server": "0" }), false),
        (json!({ "retry-wait": "-1" }), false),
        (json!({ "user-agent": "a\r\nB: c" }), false),
        (json!({ "split": "7", "max-concurrent-downloads": "2" }), true),
    ] {
        let changed = daemon.call("aria2.changeGlobalOption", &json!([options]));
        assert_eq!(changed.is_ok(), is_taken, "{options}");
    }
    let global = daemon.call("aria2.getGlobalOption", &json!([])).unwrap();
    let gid = daemon.add(&server.url("/f"), &json!({ "pause": "true" }));
    let of_job = daemon.call("aria2.getOption", &json!([gid])).unwrap();
    for (key, value) in [("split", "7"), ("timeout", "30"), ("max-download-limit", "0")] {
        assert_eq!([&global[key], &of_job[key]], [value, value], "{key}");
    }
    assert_eq!([&global["max-concurrent-downloads"], &global["rpc-secure"]], ["2", "false"]);
    assert_eq!(of_job["max-concurrent-downloads"], Value::Null);
}

#[test]
fn an_error_tells_as_much_as_that_of_aria2() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox);
    let unknown = daemon.call("aria2.nonsense", &json!([])).unwrap_err();
    assert_eq!(unknown, json!({ "code": 1, "message": "No such method: aria2.nonsense" }));
    let wrong = json!({ "checksum": format!("sha-256={}", "0".repeat(64)) });
    let job = daemon.until(&daemon.add(&server.url("/f"), &wrong), "error");
    assert_eq!([&job["completedLength"], &job["totalLength"]], ["0", &PAYLOAD.len.to_string()[..]]);
    assert_eq!(job["files"][0]["uris"][0]["status"], "used");
    let job = daemon.until(&daemon.add(&server.url("/f"), &json!({ "out": "g" })), "complete");
    assert_eq!([&job["errorCode"], &job["errorMessage"]], ["0", ""]);
}
