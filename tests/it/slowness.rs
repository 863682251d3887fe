//! Reasons for a limited rate, as the events and the progress of a download tell them.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use crate::support::*;
use ::haul::{
    Client, ClientSettings, Connections, Constraints, Digest, Download, OwnDestination, Request, Slowness,
};
use serde_json::Value;

const PAYLOAD: Payload = Payload::mib(191, 16);

/// Reason that a run tells first; the run is ended then.
#[track_caller]
fn first_reason(running: &Running) -> Value {
    let tells = |event: &Value| event["event"] == "progress" && !event["slowed_by"].is_null();
    let reason = running.wait_for_event("a reason is told", tells)["slowed_by"].clone();
    for field in ["reason", "rate", "behind", "host", "status", "wait", "quiet"] {
        assert!(reason.get(field).is_some(), "{field} is missing: {reason}");
    }
    reason
}

#[test]
fn our_own_limit_is_told_with_its_rate() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let haul = sandbox.haul().args(["--json", "--limit-rate", "512K"]).arg(server.url("/file.bin"));
    let reason = first_reason(&haul.spawn());
    assert_eq!((&reason["reason"], &reason["rate"]), (&"limit".into(), &(512 * KIB).into()), "{reason}");
    assert!(reason["host"].is_null() && reason["status"].is_null(), "{reason}");
}

#[test]
fn a_server_that_refuses_connections_is_named_with_its_status_and_the_pause_it_asks_for() {
    for (retry_after, wait) in [(Some("20"), Value::from(20.0)), (None, Value::Null)] {
        let server = Server::serve(PAYLOAD)
            .behave(move |request, number| {
                if request.is_head() || number == 0 {
                    return Reply::Throttled(512 * KIB);
                }
                let mut busy = Answer::text(429, "too many");
                if let Some(wait) = retry_after {
                    busy.set("Retry-After", wait);
                }
                Reply::Answer(busy)
            })
            .start();
        let sandbox = Sandbox::new();
        let haul = sandbox.haul().args(["--json", "-x", "4", "-k", "1M"]).arg(server.url("/file.bin"));
        let reason = first_reason(&haul.spawn());
        assert_eq!((&reason["reason"], &reason["status"]), (&"server".into(), &429.into()), "{reason}");
        assert_eq!(reason["host"], server.url("").trim_start_matches("http://"), "{reason}");
        assert_eq!(reason["wait"], wait, "{reason}");
    }
}

#[test]
fn a_silent_connection_is_told_with_its_host_while_another_one_delivers() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| {
            if request.is_head() || request.start() == 0 {
                Reply::Throttled(512 * KIB)
            } else {
                Reply::Ends(Ending::Stall(70_000))
            }
        })
        .start();
    let sandbox = Sandbox::new();
    let haul = sandbox.haul().args(["--json", "-x", "2", "-k", "1M"]).arg(server.url("/file.bin"));
    let running = haul.spawn();
    let reason = first_reason(&running);
    assert_eq!(reason["reason"], "silent", "{reason}");
    assert_eq!(reason["host"], server.url("").trim_start_matches("http://"), "{reason}");
    assert!(reason["quiet"].as_f64().is_some_and(|quiet| quiet >= 2.0), "{reason}");
}

#[test]
fn a_download_that_nothing_holds_back_tells_no_reason() {
    let server = Server::serve(PAYLOAD).rate(4 * MIB).start();
    let sandbox = Sandbox::new();
    let outcome = sandbox.haul().args(["--json", "-x", "1"]).arg(server.url("/file.bin")).run();
    outcome.assert_ok();
    let progress = outcome.events_named("progress");
    assert!(progress.len() >= 2 && progress.iter().all(|event| event["slowed_by"].is_null()), "{outcome}");
}

/// Operation that hangs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hangs {
    Write,
    ReadBack,
}

/// A destination in memory, one operation of which hangs until it is let go.
struct Hanging {
    constraints: Constraints,
    hangs: Hangs,
    let_go: Mutex<bool>,
    changed: Condvar,
    bytes: Mutex<Vec<u8>>,
}

impl Hanging {
    fn new(constraints: Constraints, hangs: Hangs) -> Arc<Self> {
        let (let_go, changed, bytes) = (Mutex::new(false), Condvar::new(), Mutex::new(Vec::new()));
        Arc::new(Self { constraints, hangs, let_go, changed, bytes })
    }

    fn let_go(&self) {
        *self.let_go.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self, operation: Hangs) {
        if self.hangs == operation {
            drop(self.changed.wait_while(self.let_go.lock().unwrap(), |let_go| !*let_go).unwrap());
        }
    }
}

impl OwnDestination for Hanging {
    fn constraints(&self) -> Constraints {
        self.constraints
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.pass(Hangs::Write);
        let mut all = self.bytes.lock().unwrap();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let length = all.len().max(end);
        all.resize(length, 0);
        all[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass(Hangs::ReadBack);
        let all = self.bytes.lock().unwrap();
        let rest = &all[offset as usize..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn discard(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until the download tells a reason.
async fn told(download: &Download) -> Slowness {
    let mut progress = download.progress();
    let told = progress.wait_for(|progress| progress.slowed_by.is_some()).await.unwrap();
    told.slowed_by.clone().unwrap()
}

#[test]
fn a_slow_writer_a_slow_hash_and_a_slow_reader_are_told_apart() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        let digest: Digest = format!("sha256:{}", PAYLOAD.sha256_hex()).parse().unwrap();
        let mut window = Constraints::in_order();
        window.window = Some(MIB);
        for (constraints, hangs, reason) in [
            (Constraints::random_access(), Hangs::Write, Slowness::Disk.name()),
            (Constraints::random_access(), Hangs::ReadBack, "hash"),
            (window, Hangs::Write, Slowness::Reader.name()),
        ] {
            let own = Hanging::new(constraints, hangs);
            let request = Request::new(&server.url("/file.bin")).unwrap().into_destination(own.clone());
            let request = request.connections(Connections::AtMost(2)).digest(digest.clone());
            let client = Client::new(ClientSettings::default()).unwrap();
            let download = client.start(request);
            let told = told(&download).await;
            assert_eq!(told.name(), reason, "{constraints:?}");
            if let Slowness::Hash { behind } = told {
                assert_eq!(behind, PAYLOAD.len);
            }
            own.let_go();
            assert_eq!(download.join().await.unwrap().size, PAYLOAD.len);
            PAYLOAD.assert_is(&own.bytes.lock().unwrap());
        }
    });
}
