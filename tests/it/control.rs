//! Commands to a running download: through the library, as a front end gives them.

use std::num::NonZeroU64;

use crate::support::*;
use ::haul::{
    Client, ClientSettings, Connections, Download, Event, Jobs, Kind, Notice, Phase, Progress, Request,
};

const PAYLOAD: Payload = Payload::mib(90, 24);

fn client(jobs: usize) -> Client {
    let mut settings = ClientSettings::default();
    settings.jobs = Jobs::AtMost(jobs);
    Client::new(settings).unwrap()
}

fn request(server: &Server, sandbox: &Sandbox, name: &str) -> Request {
    let request = Request::new(&server.url("/file.bin")).unwrap();
    request.output(sandbox.path(name)).connections(Connections::AtMost(4))
}

async fn until(download: &Download, what: impl FnMut(&Progress) -> bool) {
    download.progress().wait_for(what).await.unwrap();
}

async fn until_phase(download: &Download, phase: Phase) {
    until(download, |progress| progress.phase == phase).await;
}

/// The text of the next refused command.
async fn refusal(events: &mut tokio::sync::mpsc::Receiver<Event>) -> String {
    loop {
        if let Event::Notice(Notice::Refused, text) = events.recv().await.expect("the download runs") {
            return text;
        }
    }
}

fn rate(bytes: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes)
}

#[test]
fn a_pause_closes_every_connection_and_keeps_every_byte_and_the_rest_alone_comes_afterwards() {
    on_a_runtime(async {
        let gate = Gate::after(8 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let download = client(1).start(request(&server, &sandbox, "file.bin"));
        until(&download, |progress| progress.written >= 6 * MIB).await;
        download.control().pause();
        until_phase(&download, Phase::Paused).await;
        let paused = download.progress().borrow().clone();
        assert_eq!(paused.durable, paused.written, "everything received is durable");
        assert!(paused.connections.is_empty());
        server.wait_until("every connection is closed", |log| log.in_flight == 0);
        let asked = server.gets().len();
        gate.open();
        download.control().resume();
        let report = download.join().await.unwrap();
        assert_eq!(report.size, PAYLOAD.len);
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(server.gets().len() > asked);
        // Bytes that were in flight at the pause come once more.
        server.assert_cost(PAYLOAD.len + 8 * MIB);
    });
}

#[test]
fn a_paused_download_gives_its_slot_to_the_next_one_and_waits_for_another() {
    on_a_runtime(async {
        let gate = Gate::after(8 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let client = client(1);
        let first = client.start(request(&server, &sandbox, "first.bin"));
        until(&first, |progress| progress.written >= 4 * MIB).await;
        let second = client.start(request(&server, &sandbox, "second.bin"));
        assert_eq!(second.progress().borrow().phase, Phase::Queued);
        first.control().pause();
        until_phase(&second, Phase::Transferring).await;
        assert_eq!(first.progress().borrow().phase, Phase::Paused);
        // There is no slot for it while the second one runs.
        first.control().resume();
        gate.open();
        second.join().await.unwrap();
        first.join().await.unwrap();
        sandbox.assert_ok_file(&PAYLOAD, "first.bin");
        sandbox.assert_ok_file(&PAYLOAD, "second.bin");
    });
}

#[test]
fn a_download_that_is_paused_in_the_queue_asks_for_nothing() {
    on_a_runtime(async {
        let gate = Gate::shut();
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let other = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let client = client(1);
        let first = client.start(request(&server, &sandbox, "first.bin"));
        let second = client.start(request(&other, &sandbox, "second.bin"));
        second.control().pause();
        until_phase(&second, Phase::Paused).await;
        gate.open();
        first.join().await.unwrap();
        let third = client.start(request(&server, &sandbox, "third.bin"));
        third.join().await.unwrap();
        assert_eq!(other.requests().len(), 0, "{}", other.describe());
        second.control().resume();
        second.join().await.unwrap();
        sandbox.assert_ok_file(&PAYLOAD, "second.bin");
    });
}

#[test]
fn a_paused_download_can_be_cancelled_and_what_it_has_is_resumed_by_the_next_one() {
    on_a_runtime(async {
        let gate = Gate::after(8 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let client = client(1);
        let download = client.start(request(&server, &sandbox, "file.bin"));
        until(&download, |progress| progress.written >= 6 * MIB).await;
        download.control().pause();
        until_phase(&download, Phase::Paused).await;
        let kept = download.progress().borrow().durable;
        download.cancel();
        let error = download.join().await.unwrap_err();
        assert_eq!((error.kind(), error.kept()), (Kind::Cancelled, Some(kept)));
        assert_eq!(error.phase(), Some(Phase::Paused));
        gate.open();
        let report = client.start(request(&server, &sandbox, "file.bin")).join().await.unwrap();
        assert_eq!(report.resumed, kept);
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    });
}

#[test]
fn limits_of_the_file_its_host_and_all_files_count_at_once_and_are_lifted_at_once() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let client = client(2);
        let slow = rate(100_000);
        for set in 0..3 {
            let name = format!("{set}.bin");
            let gate = Gate::after(2 * MIB);
            server.set_gate(Some(&gate));
            let download = client.start(request(&server, &sandbox, &name));
            until(&download, |progress| progress.written >= MIB).await;
            let limit = |rate| match set {
                0 => download.control().limit_rate(rate),
                1 => client.limit_host(&server.url("/"), rate).unwrap(),
                _ => client.limit_rate(rate),
            };
            limit(slow);
            gate.open();
            // At this rate the file would take minutes.
            until(&download, |progress| matches!(progress.slowed_by, Some(::haul::Slowness::Limit { .. })))
                .await;
            assert!(download.progress().borrow().written < PAYLOAD.len);
            limit(None);
            download.join().await.unwrap();
            sandbox.assert_ok_file(&PAYLOAD, &name);
        }
    });
}

#[test]
fn the_number_of_connections_can_be_changed_while_the_file_comes() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).rate(2 * MIB).start();
        let sandbox = Sandbox::new();
        let download = client(1).start(request(&server, &sandbox, "file.bin"));
        until(&download, |progress| progress.connections.len() == 4).await;
        download.control().connections(Connections::AtMost(1));
        until(&download, |progress| progress.connections.len() == 1).await;
        download.control().connections(Connections::AtMost(6));
        until(&download, |progress| progress.connections.len() == 6).await;
        download.join().await.unwrap();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    });
}

#[test]
fn a_mirror_can_be_added_and_the_url_be_removed() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let mirror = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let digest = format!("sha256:{}", PAYLOAD.sha256_hex()).parse().unwrap();
        let mut download = client(1).start(request(&server, &sandbox, "file.bin").digest(digest));
        let mut events = download.events().unwrap();
        let control = download.control();
        until(&download, |progress| progress.written >= 2 * MIB).await;
        // The last source stays.
        control.remove_source(&server.url("/file.bin")).unwrap();
        assert!(refusal(&mut events).await.contains("last source"));
        control.add_source(&mirror.url("/file.bin")).unwrap();
        control.remove_source(&server.url("/file.bin")).unwrap();
        let report = download.join().await.unwrap();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(report.sources.contains(&mirror.url("/file.bin")), "{:?}", report.sources);
        assert!(mirror.body_bytes() > PAYLOAD.len / 2, "{}", mirror.describe());
    });
}

#[test]
fn a_mirror_without_a_digest_and_a_url_with_a_user_are_refused() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let mut download = client(1).start(request(&server, &sandbox, "file.bin"));
        let mut events = download.events().unwrap();
        let control = download.control();
        until(&download, |progress| progress.written >= 2 * MIB).await;
        control.add_source("http://127.0.0.1:9/file.bin").unwrap();
        assert!(refusal(&mut events).await.contains("digest"));
        for wrong in ["ftp://host/f", "http://user:word@host/f", "nonsense"] {
            assert_eq!(control.replace_url(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
        gate.open();
        download.join().await.unwrap();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    });
}

#[test]
fn another_url_is_used_from_the_next_request_on_and_must_lead_to_the_same_version() {
    on_a_runtime(async {
        for same in [true, false] {
            let gate = Gate::after(8 * MIB);
            let server = Server::serve(PAYLOAD).gate(&gate).start();
            let tag = if same { "\"v1\"" } else { "\"v2\"" };
            let fresh = Server::serve(Resource::of(PAYLOAD).etag(tag)).start();
            let sandbox = Sandbox::new();
            let request =
                request(&server, &sandbox, "file.bin").header("X-Secret", "for the first origin alone");
            let download = client(1).start(request);
            let control = download.control();
            until(&download, |progress| progress.written >= 6 * MIB).await;
            control.pause();
            until_phase(&download, Phase::Paused).await;
            control.replace_url(&fresh.url("/elsewhere.bin")).unwrap();
            let asked = server.gets().len();
            control.resume();
            let outcome = download.join().await;
            assert_eq!(server.gets().len(), asked, "{}", server.describe());
            assert!(fresh.requests().iter().all(|request| !request.has("x-secret")));
            match outcome {
                Ok(_) if same => sandbox.assert_ok_file(&PAYLOAD, "file.bin"),
                Err(error) if !same => {
                    assert_eq!(error.kind(), Kind::Changed, "{error}");
                    assert!(error.kept() >= Some(6 * MIB));
                }
                other => panic!("{same}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_pipe_that_could_not_go_on_is_not_paused() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(Resource::of(PAYLOAD).no_validator()).gate(&gate).start();
        let request = Request::new(&server.url("/file.bin")).unwrap().stream(std::io::sink());
        let mut download = client(1).start(request);
        let mut events = download.events().unwrap();
        until(&download, |progress| progress.written >= 2 * MIB).await;
        download.control().pause();
        assert!(refusal(&mut events).await.contains("validator"));
        gate.open();
        assert_eq!(download.join().await.unwrap().size, PAYLOAD.len);
    });
}
