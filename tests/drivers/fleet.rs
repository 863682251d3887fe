//! A fleet on a real NATS server: `haul submit`, `haul worker` and `haul fleet`.

use crate::nats::{Nats, free_port};
use crate::support::loop_disk::LoopDisk;
use crate::support::*;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PAYLOAD: Payload = Payload::mib(811, 4);

/// A sandbox, a NATS server with its store in it, and `haul` with its address.
struct Site {
    sandbox: Sandbox,
    nats: Nats,
}

impl Site {
    fn new() -> Option<Self> {
        let sandbox = Sandbox::new();
        let nats = Nats::start(&store(&sandbox))?;
        Some(Self { sandbox, nats })
    }

    fn haul(&self) -> Haul {
        self.sandbox.haul().env("NATS_URL", self.nats.url())
    }

    /// Submits lines of a list, and returns the event.
    #[track_caller]
    fn submit(&self, lines: &[String]) -> Value {
        self.sandbox.write("list", lines.join("\n") + "\n");
        let submitted = self.haul().args(["submit", "list", "--json"]).run();
        submitted.assert_ok();
        submitted.event("submitted")
    }

    /// A worker with its files in `directory`.
    fn worker(&self, directory: &str) -> Haul {
        self.haul().args(["worker", "--json", "-v", "--no-memory", "-d", directory])
    }

    #[track_caller]
    fn status(&self) -> Value {
        let status = self.haul().args(["fleet", "status", "--json"]).run();
        status.assert_ok();
        status.event("fleet")
    }
}

fn store(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("store")
}

fn job(server: &Server, name: &str) -> String {
    json!({ "url": server.url(name), "sha256": PAYLOAD.sha256_hex() }).to_string()
}

fn jobs(server: &Server, count: usize) -> Vec<String> {
    (0..count).map(|number| job(server, &format!("/f{number}"))).collect()
}

/// Waits until a worker has said that it takes jobs.
fn ready(worker: &Running) {
    worker.wait_for_stderr("it takes jobs", |said| said.contains("takes jobs of"));
}

#[test]
fn a_list_that_is_submitted_twice_is_queued_once() {
    let Some(site) = Site::new() else { return };
    let server = Server::serve(PAYLOAD).start();
    let lines = jobs(&server, 50);
    let first = site.submit(&lines);
    assert_eq!((first["added"].as_u64(), first["known"].as_u64()), (Some(50), Some(0)));
    let again = site.submit(&lines);
    assert_eq!((again["added"].as_u64(), again["known"].as_u64()), (Some(0), Some(50)));
    let said = site.haul().args(["submit", "list"]).run();
    said.assert_ok().assert_says("50 not again");
    assert_eq!(site.status()["waiting"], 50);
    assert!(server.requests().is_empty(), "a submission asks no origin");
}

#[test]
fn workers_share_the_jobs_and_each_is_done_once() {
    let Some(site) = Site::new() else { return };
    let small = Payload::new(813, 64 * KIB);
    let server = Server::serve(small).start();
    let job = |number| {
        json!({ "url": server.url(&format!("/f{number}")), "sha256": small.sha256_hex() }).to_string()
    };
    site.submit(&(0..40).map(job).collect::<Vec<_>>());
    let workers: Vec<_> = (0..2).map(|_| site.worker("out").arg("--until-empty").spawn()).collect();
    let ended: Vec<_> = workers.into_iter().map(Running::wait).collect();
    let done: Vec<_> = ended.iter().flat_map(|ended| ended.assert_ok().events_named("done")).collect();
    assert_eq!(done.len(), 40);
    for number in 0..40 {
        site.sandbox.assert_ok_file(&small, &format!("out/f{number}"));
    }
    server.assert_cost(40 * 64 * KIB);
    let status = site.status();
    let counts = ["waiting", "running", "done", "failed", "dead"].map(|key| status[key].as_u64());
    assert_eq!(counts, [Some(0), Some(0), Some(40), Some(0), Some(0)]);
    // The stream of results has the same events.
    assert_eq!(site.nats.client().messages("haul-results").len(), 40);
}

#[test]
fn a_wrong_line_is_refused_before_any_traffic() {
    let sandbox = Sandbox::new();
    sandbox.write("list", "http://h/a\nftp://h/b\n");
    let port = free_port().to_string();
    let refused = sandbox.haul().args(["submit", "list", "--nats", &format!("127.0.0.1:{port}")]).run();
    refused.assert_failed(2).assert_says("line 2");
    sandbox.write("list", "http://h/a\n");
    for (flags, says) in [
        (&["--nats", "http://geheim@h"][..], "neither nats nor tls"),
        (&["--nats", "h", "--stream", "a.b"], "no name of a stream"),
        (&["--nats", "h", "--creds", "nothing"], "cannot read nothing"),
        (&[], "NATS_URL"),
    ] {
        let refused = sandbox.haul().args(["submit", "list"]).args(flags).run();
        refused.assert_failed(2).assert_says(says);
        assert!(!refused.said().contains("geheim"));
    }
    for flags in [&["-o", "f"][..], &["--lease", "10ms"], &["--if-exists", "overwrite"], &["--per-host", "0"]]
    {
        sandbox.haul().args(["worker", "--nats", "h"]).args(flags).run().assert_failed(2);
    }
}

#[test]
fn a_message_that_is_no_job_is_laid_aside_with_its_line() {
    let Some(site) = Site::new() else { return };
    let server = Server::serve(PAYLOAD).start();
    site.submit(&jobs(&server, 1));
    let mut client = site.nats.client();
    let place = [("Nats-Msg-Id", "0a"), ("Haul-List", "other.txt"), ("Haul-Line", "7")];
    let outside = json!({ "v": 1, "job": { "url": server.url("/x"), "output": "/etc/x" } }).to_string();
    assert!(client.publish("haul.job.x", &place, b"\xff no job")["seq"].is_u64());
    assert!(client.publish("haul.job.x", &[], outside.as_bytes())["seq"].is_u64());
    let ended = site.worker("out").arg("--until-empty").run();
    ended.assert_failed(1);
    assert_eq!(ended.events_named("done").len(), 1);
    let errors = ended.events_named("error");
    let of_line = errors.iter().find(|error| error["line"] == 7).unwrap();
    assert_eq!(
        (&of_line["list"], &of_line["id"], &of_line["kind"]),
        (&json!("other.txt"), &json!("0a"), &json!("usage"))
    );
    assert!(errors.iter().any(|error| error["kind"] == "unsafe"), "{errors:?}");
    let letters = client.messages("haul-dead");
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter["event"] == "dead" && letter["message"].is_string()));
    assert_eq!(site.status()["dead"], 2);
}

#[test]
fn what_cannot_be_fetched_is_laid_aside_with_the_reason() {
    let Some(site) = Site::new() else { return };
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path() == "/gone" { Reply::Status(404) } else { Reply::Normal })
        .start();
    let wrong = json!({ "url": server.url("/wrong"), "sha256": "0".repeat(64) }).to_string();
    site.submit(&[server.url("/gone")]);
    site.worker("out").arg("--until-empty").run().assert_failed(3);
    site.submit(&[wrong]);
    site.worker("out").arg("--until-empty").run().assert_failed(12);
    let letters = site.nats.client().messages("haul-dead");
    let kinds: Vec<_> = letters.iter().map(|letter| letter["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["not_found", "checksum"]);
    assert_eq!(letters[0]["line"], 1);
    site.sandbox.assert_absent("out/wrong");
}

#[test]
fn a_worker_that_is_told_to_stop_hands_back_and_the_next_one_goes_on() {
    let Some(site) = Site::new() else { return };
    let gate = Gate::after(3 * MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    site.submit(&jobs(&server, 1));
    let first = site.worker("out").spawn();
    server.wait_for_body_bytes(3 * MIB);
    first.signal("TERM");
    let stopped = first.wait();
    stopped.assert_signalled(15);
    assert_eq!(stopped.summary()["handed_back"], 1);
    assert!(site.sandbox.part("out/f0").is_file());
    // The lease is a minute: the job is there at once all the same.
    gate.open();
    let began = Instant::now();
    let second = site.worker("out").arg("--until-empty").run();
    assert!(began.elapsed() < Duration::from_secs(30));
    let done = second.assert_ok().done_event();
    assert!(done["resumed"].as_u64().unwrap() >= MIB, "{done}");
    site.sandbox.assert_ok_file(&PAYLOAD, "out/f0");
    server.assert_cost(5 * MIB);
}

#[test]
fn a_worker_that_was_stopped_past_its_lease_says_nothing() {
    let Some(site) = Site::new() else { return };
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    site.submit(&jobs(&server, 1));
    let first = site.worker("one").args(["--lease", "5s", "-x", "1"]).spawn();
    server.wait_for_body_bytes(MIB);
    first.signal("STOP");
    // It is alive, holds its connections, and its lease runs out: the job goes to another.
    let second = site.worker("two").args(["--until-empty", "-x", "1"]).spawn();
    gate.wait_for_waiting(2);
    // It comes back while the other has the job: a word to the queue would end that delivery, or hand the job out once more.
    first.signal("CONT");
    first.wait_for_stderr("its lease is gone", |said| said.contains("has run out"));
    first.signal("TERM");
    let first = first.wait();
    assert!(first.events_named("done").is_empty(), "{:?}", first.events());
    assert_eq!(site.status()["running"], json!(1));
    gate.open();
    let done = second.wait();
    assert_eq!(done.assert_ok().done_event()["delivery"], 2);
    assert!(done.events_named("retry").is_empty(), "{:?}", done.events());
    site.sandbox.assert_ok_file(&PAYLOAD, "two/f0");
    let status = site.status();
    assert_eq!((&status["done"], &status["waiting"], &status["running"]), (&json!(1), &json!(0), &json!(0)));
}

#[test]
fn two_workers_that_share_a_directory_do_not_fight() {
    let Some(site) = Site::new() else { return };
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    site.submit(&jobs(&server, 1));
    let first = site.worker("out").args(["--lease", "2s", "-x", "1"]).spawn();
    server.wait_for_body_bytes(MIB);
    first.signal("STOP");
    // The stopped one holds the lock of the part file.
    let second = site.worker("out").args(["--until-empty", "-x", "1"]).spawn();
    let retry = second.wait_for_event("it finds the target in use", |event| event["event"] == "retry");
    assert_eq!((&retry["kind"], &retry["counts"]), (&json!("locked"), &json!(false)));
    first.signal("CONT");
    gate.open();
    second.wait().assert_ok();
    first.signal("TERM");
    first.wait();
    site.sandbox.assert_ok_file(&PAYLOAD, "out/f0");
    assert_eq!(site.status()["done"], 1);
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let Some(site) = Site::new() else { return };
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = Server::serve(PAYLOAD)
        .behave(move |request, _| match request.is_get() && counted.fetch_add(1, Ordering::SeqCst) == 0 {
            true => {
                let mut busy = Answer::text(503, "busy");
                busy.set("Retry-After", "3");
                Reply::Answer(busy)
            }
            false => Reply::Normal,
        })
        .start();
    site.submit(&jobs(&server, 1));
    let ended = site.worker("out").args(["--until-empty", "--lease", "4s"]).run();
    let retry = ended.assert_ok().event("retry");
    assert_eq!(
        (&retry["status"], &retry["wait"], &retry["counts"]),
        (&json!(503), &json!(3.0), &json!(true))
    );
    assert_eq!(ended.done_event()["delivery"], 2);
}

#[test]
fn an_origin_out_of_reach_is_not_the_fault_of_the_job() {
    let Some(site) = Site::new() else { return };
    let url = format!("http://127.0.0.1:{}/f", free_port());
    site.submit(&[url]);
    let worker = site.worker("out").args(["--max-deliver", "1", "--retry", "0"]).spawn();
    let retry =
        worker.wait_for_event("it tries again", |event| event["event"] == "retry" && event["delivery"] == 2);
    assert_eq!((&retry["kind"], &retry["counts"]), (&json!("network"), &json!(false)));
    worker.signal("TERM");
    worker.wait().assert_signalled(15);
    assert_eq!(site.status()["dead"], 0);
}

#[test]
fn a_job_that_fails_again_and_again_is_laid_aside() {
    let Some(site) = Site::new() else { return };
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Hangup).start();
    site.submit(&jobs(&server, 1));
    let ended = site.worker("out").args(["--until-empty", "--max-deliver", "2", "--retry", "0"]).run();
    ended.assert_failed(6);
    assert_eq!(ended.events_named("retry").len(), 1);
    assert_eq!(ended.event("error")["delivery"], 2);
}

#[test]
fn the_slots_of_an_origin_count_for_the_whole_fleet() {
    let Some(site) = Site::new() else { return };
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, seen) = (now.clone(), most.clone());
    let server = Server::serve(PAYLOAD)
        .handler(move |request, exchange| {
            let counts = usize::from(request.is_get());
            seen.fetch_max(running.fetch_add(counts, Ordering::SeqCst) + counts, Ordering::SeqCst);
            exchange.throttle(16 * MIB);
            exchange.serve();
            running.fetch_sub(counts, Ordering::SeqCst);
        })
        .start();
    site.submit(&jobs(&server, 8));
    let flags = ["--until-empty", "--per-host", "2", "-j", "4", "-x", "1"];
    let workers: Vec<_> = (0..2).map(|_| site.worker("out").args(flags).spawn()).collect();
    workers.into_iter().for_each(|worker| _ = worker.wait().assert_ok());
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!(site.status()["done"], 8);
}

#[test]
fn slots_of_a_killed_worker_come_back() {
    let Some(site) = Site::new() else { return };
    let gate = Gate::shut();
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    site.submit(&jobs(&server, 2));
    let flags = ["--per-host", "1", "--lease", "2s", "-x", "1"];
    let killed = site.worker("out").args(flags).spawn();
    gate.wait_for_waiting(1);
    killed.kill();
    gate.open();
    site.worker("out").args(flags).arg("--until-empty").run().assert_ok();
    assert_eq!(site.status()["done"], 2);
}

#[test]
fn a_full_disk_is_the_fault_of_the_worker_which_rests() {
    let Some(disk) = LoopDisk::make("ext4", 16) else { return };
    let Some(site) = Site::new() else { return };
    let big = Payload::mib(812, 64);
    let server = Server::serve(big).start();
    site.submit(&[json!({ "url": server.url("/big"), "sha256": big.sha256_hex() }).to_string()]);
    let full = disk.root();
    let worker = site.worker(full.to_str().unwrap()).args(["--max-deliver", "1"]).spawn();
    let retry = worker.wait_for_event("it hands the job back", |event| event["event"] == "retry");
    assert_eq!((&retry["kind"], &retry["counts"]), (&json!("disk"), &json!(false)));
    worker.wait_for_stderr("it rests", |said| said.contains("the disk is at fault"));
    worker.signal("TERM");
    worker.wait();
    site.worker("out").arg("--until-empty").run().assert_ok();
    site.sandbox.assert_ok_file(&big, "out/big");
}

#[test]
fn wrong_credentials_are_told_apart_and_never_shown() {
    let sandbox = Sandbox::new();
    let Some(nats) = Nats::start_with(&store(&sandbox), &["--user", "me", "--pass", "geheim"]) else {
        return;
    };
    sandbox.write("list", "http://h/a\n");
    let at = |login: &str| format!("nats://{login}127.0.0.1:{}", nats.port);
    for command in [&["submit", "list"][..], &["worker"], &["fleet", "status"]] {
        for login in ["", "me:falsch@", "falsch@"] {
            let refused = sandbox.haul().args(command).env("NATS_URL", at(login)).run();
            refused.assert_failed(4).assert_says(&format!("127.0.0.1:{}", nats.port));
            assert!(!refused.said().contains("falsch"), "{}", refused.said());
        }
    }
    let right = sandbox.haul().args(["submit", "list", "--nats", &at("me:geheim@")]).run();
    assert!(!right.assert_ok().said().contains("geheim"));
}

#[test]
fn a_server_that_is_not_there_is_named_and_waited_for_as_long_as_is_said() {
    let sandbox = Sandbox::new();
    sandbox.write("list", "http://h/a\n");
    let port = free_port();
    let url = format!("nats://127.0.0.1:{port}");
    for command in [&["submit", "list"][..], &["worker"], &["fleet", "status"]] {
        let gone = sandbox.haul().args(command).args(["--nats", &url]).run();
        gone.assert_failed(6).assert_says(&format!("127.0.0.1:{port}"));
    }
    let waiting = sandbox.haul().args(["submit", "list", "--nats", &url, "--retry-max-time", "40s"]).spawn();
    let Some(_nats) = Nats::start_on(port, &store(&sandbox), &[]) else { return };
    waiting.wait().assert_ok();
}

#[test]
fn a_stream_of_another_version_is_refused() {
    let Some(site) = Site::new() else { return };
    let config = json!({
        "name": "haul", "subjects": ["haul.job.*"], "retention": "workqueue", "storage": "file",
        "metadata": { "haul-version": "2" },
    });
    let made = site.nats.client().request("$JS.API.STREAM.CREATE.haul", &config);
    assert!(made["error"].is_null(), "{made}");
    site.sandbox.write("list", "http://h/a\n");
    for command in [&["submit", "list"][..], &["worker"], &["fleet", "status"]] {
        site.haul().args(command).run().assert_failed(13).assert_says("version 2");
    }
    // Another stream on the same server is not concerned.
    site.haul().args(["submit", "list", "--stream", "other"]).run().assert_ok();
    site.haul().args(["fleet", "status", "--stream", "none"]).run().assert_failed(3);
}

#[test]
fn a_server_that_restarts_loses_nothing() {
    let Some(mut site) = Site::new() else { return };
    let gate = Gate::after(MIB);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    site.submit(&jobs(&server, 5));
    let worker = site.worker("out").args(["--until-empty", "--lease", "20s", "-j", "2", "-x", "1"]).spawn();
    server.wait_for_body_bytes(MIB);
    let port = site.nats.port;
    drop(std::mem::replace(&mut site.nats, Nats::start(&site.sandbox.root().join("elsewhere")).unwrap()));
    site.nats = Nats::start_on(port, &store(&site.sandbox), &[]).unwrap();
    gate.open();
    assert_eq!(worker.wait().assert_ok().events_named("done").len(), 5);
    server.assert_cost(5 * 4 * MIB + 4 * MIB);
}

#[test]
fn a_worker_speaks_tls_with_a_server_that_it_trusts() {
    let sandbox = Sandbox::new();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let [cert, key] =
        [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())].map(|(name, text)| {
            let path = sandbox.root().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let flags = ["--tls", "--tlscert", &cert, "--tlskey", &key];
    let Some(nats) = Nats::start_with(&store(&sandbox), &flags) else { return };
    sandbox.write("list", "http://h/a\n");
    let url = format!("tls://localhost:{}", nats.port);
    sandbox.haul().args(["submit", "list", "--nats", &url]).run().assert_failed(7);
    sandbox.haul().args(["submit", "list", "--nats", &url, "--cacert", &cert]).run().assert_ok();
    ready(&sandbox.haul().args(["worker", "--nats", &url, "--cacert", &cert]).spawn());
}
