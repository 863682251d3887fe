//! The queue of jobs, as a front end uses it.

use std::path::Path;

use crate::support::*;
use ::haul::{
    Client, ClientSettings, Job, JobId, JobState, JobStatus, Jobs, Kind, Phase, Progress, Queue, QueueEvent,
    QueueSettings,
};
use tokio::sync::{broadcast, watch};

const PAYLOAD: Payload = Payload::mib(91, 8);

async fn open(jobs: usize, session: Option<&Path>) -> Result<Queue, ::haul::Error> {
    let mut settings = ClientSettings::default();
    settings.jobs = Jobs::AtMost(jobs);
    let mut queue = QueueSettings::default();
    queue.session = session.map(Path::to_owned);
    Queue::open(Client::new(settings).unwrap(), queue).await
}

fn job(server: &Server, sandbox: &Sandbox, name: &str) -> Job {
    let mut job = Job::new(server.url("/file.bin"));
    job.output = Some(sandbox.path(name));
    job
}

/// Waits until `wanted` accepts the state of the job, with a look at each event and each snapshot of its progress.
async fn until(queue: &Queue, id: JobId, mut wanted: impl FnMut(&JobStatus) -> bool) -> JobStatus {
    let mut events = queue.events();
    let mut progress = None;
    loop {
        let status = queue.status(id).await.expect("the job is known");
        if wanted(&status) {
            return status;
        }
        if progress.is_none() {
            progress = queue.progress(id).await;
        }
        tokio::select! {
            // An event that was missed is one more reason to look.
            _ = events.recv() => {}
            open = changed(progress.as_mut()) => if !open { progress = None },
        }
    }
}

/// Waits for the next snapshot, for ever without a download; returns false once it has ended.
async fn changed(progress: Option<&mut watch::Receiver<Progress>>) -> bool {
    match progress {
        Some(progress) => progress.changed().await.is_ok(),
        None => std::future::pending().await,
    }
}

async fn ended(queue: &Queue, id: JobId) -> JobStatus {
    until(queue, id, |status| status.state.is_ended()).await
}

/// Ids of the jobs that started, in order, until `count` have.
async fn started(events: &mut broadcast::Receiver<QueueEvent>, count: usize) -> Vec<JobId> {
    let mut started = Vec::new();
    while started.len() < count {
        if let QueueEvent::Started(id) = events.recv().await.unwrap() {
            started.push(id);
        }
    }
    started
}

#[test]
fn jobs_run_by_priority_and_order_and_a_moved_one_takes_its_new_place() {
    on_a_runtime(async {
        let gate = Gate::shut();
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let queue = open(1, None).await.unwrap();
        let mut events = queue.events();
        let first = queue.add(job(&server, &sandbox, "first")).await.unwrap();
        until(&queue, first, |status| status.state == JobState::Running).await;
        let second = queue.add(job(&server, &sandbox, "second")).await.unwrap();
        let third = queue.add(job(&server, &sandbox, "third")).await.unwrap();
        let mut urgent = job(&server, &sandbox, "urgent");
        urgent.priority = 1;
        let urgent = queue.add(urgent).await.unwrap();
        queue.move_to(third, 1).await.unwrap();
        let waiting: Vec<_> = queue.waiting(0, 9).await.iter().map(|status| status.id).collect();
        assert_eq!(waiting, [urgent, third, second]);
        assert_eq!(queue.status(second).await.unwrap().index, Some(2));
        gate.open();
        assert_eq!(started(&mut events, 4).await, [first, urgent, third, second]);
        queue.idle().await;
        for name in ["first", "second", "third", "urgent"] {
            sandbox.assert_ok_file(&PAYLOAD, name);
        }
        let totals = queue.totals().await;
        assert_eq!((totals.waiting, totals.running, totals.ended), (0, 0, 4));
        queue.close().await.unwrap();
    });
}

#[test]
fn a_paused_job_lets_the_next_one_run_and_goes_on_from_where_it_was() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let other = Server::serve(PAYLOAD).start();
        let sandbox = Sandbox::new();
        let queue = open(1, None).await.unwrap();
        let first = queue.add(job(&server, &sandbox, "first")).await.unwrap();
        let second = queue.add(job(&other, &sandbox, "second")).await.unwrap();
        until(&queue, first, |status| status.progress.as_ref().is_some_and(|now| now.written >= 2 * MIB))
            .await;
        queue.pause(first).await.unwrap();
        assert_eq!(queue.status(first).await.unwrap().state, JobState::Paused);
        assert!(queue.pause(first).await.is_err());
        assert!(ended(&queue, second).await.report.is_some());
        let paused = queue.status(first).await.unwrap().progress.unwrap();
        assert_eq!(paused.phase, Phase::Paused);
        assert!(paused.durable >= 2 * MIB);
        gate.open();
        queue.resume(first).await.unwrap();
        ended(&queue, first).await;
        sandbox.assert_ok_file(&PAYLOAD, "first");
        server.assert_cost(PAYLOAD.len + 4 * MIB);
        queue.close().await.unwrap();
    });
}

#[test]
fn a_removed_job_has_closed_its_files_and_keeps_what_came() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let queue = open(1, None).await.unwrap();
        let id = queue.add(job(&server, &sandbox, "file")).await.unwrap();
        let waits = queue.add(job(&server, &sandbox, "other")).await.unwrap();
        until(&queue, id, |status| status.progress.as_ref().is_some_and(|now| now.written >= 2 * MIB)).await;
        queue.remove(id).await.unwrap();
        assert!(queue.status(id).await.is_none());
        // The part file is not locked any more.
        let inspection = ::haul::inspect(&sandbox.path("file")).unwrap();
        assert!(inspection.durable >= 2 * MIB);
        queue.remove(waits).await.unwrap();
        assert_eq!(queue.remove(waits).await.unwrap_err().kind(), Kind::NotFound);
        queue.close().await.unwrap();
    });
}

#[test]
fn options_of_a_running_job_change_at_once_and_those_of_a_waiting_one_when_it_starts() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).rate(MIB).start();
        let sandbox = Sandbox::new();
        let queue = open(1, None).await.unwrap();
        let id = queue.add(job(&server, &sandbox, "file")).await.unwrap();
        let waits = queue.add(job(&server, &sandbox, "other")).await.unwrap();
        let mut options = ::haul::JobOptions::default();
        options.connections = Some(5);
        until(&queue, id, |status| status.progress.as_ref().is_some_and(|now| now.written > 0)).await;
        queue.set_options(id, options.clone()).await.unwrap();
        until(&queue, id, |status| status.progress.as_ref().is_some_and(|now| now.connections.len() == 5))
            .await;
        options.connections = None;
        options.max_size = Some(100);
        queue.set_options(waits, options).await.unwrap();
        let failed = ended(&queue, waits).await;
        assert_eq!(failed.state, JobState::Failed);
        let error = failed.error.unwrap();
        assert_eq!((error.kind(), error.is_transient()), (Kind::Unsafe, false));
        sandbox.assert_ok_file(&PAYLOAD, "file");
        // A failed job can be queued again, with other options.
        let mut options = ::haul::JobOptions::default();
        options.max_size = Some(0);
        queue.set_options(waits, options).await.unwrap();
        queue.again(waits).await.unwrap();
        assert_eq!(ended(&queue, waits).await.state, JobState::Done);
        queue.close().await.unwrap();
    });
}

#[test]
fn a_job_that_makes_no_sense_is_not_added_and_its_field_is_named() {
    on_a_runtime(async {
        let queue = open(1, None).await.unwrap();
        let error = queue.add(Job::new("ftp://host/file")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().starts_with("url: "), "{error}");
        assert_eq!(queue.totals().await.waiting, 0);
        queue.close().await.unwrap();
        assert_eq!(queue.add(Job::new("http://host/file")).await.unwrap_err().kind(), Kind::Cancelled);
    });
}

#[test]
fn a_queue_that_is_closed_goes_on_where_it_was_with_the_same_ids_and_order() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(PAYLOAD)
            .behave(
                |request, _| {
                    if request.path() == "/missing.bin" { Reply::Status(404) } else { Reply::Normal }
                },
            )
            .gate(&gate)
            .start();
        let sandbox = Sandbox::new();
        let session = sandbox.path("state/queue");
        let queue = open(1, Some(&session)).await.unwrap();
        let mut missing = job(&server, &sandbox, "missing");
        missing.url = server.url("/missing.bin");
        let missing = queue.add(missing).await.unwrap();
        let running = queue.add(job(&server, &sandbox, "running")).await.unwrap();
        let paused = queue.add_at(job(&server, &sandbox, "paused"), None, true).await.unwrap();
        let waits = queue.add(job(&server, &sandbox, "waits")).await.unwrap();
        until(&queue, running, |status| status.progress.as_ref().is_some_and(|now| now.written >= 2 * MIB))
            .await;
        queue.move_to(waits, 0).await.unwrap();
        assert_eq!(open(1, Some(&session)).await.unwrap_err().kind(), Kind::Locked);
        queue.close().await.unwrap();
        server.wait_until("every connection is closed", |log| log.in_flight == 0);
        gate.open();
        let queue = open(1, Some(&session)).await.unwrap();
        let failed = queue.status(missing).await.unwrap();
        assert_eq!(failed.state, JobState::Failed);
        assert!(failed.ended.is_some_and(|end| end.text.contains("404")));
        let order: Vec<_> = queue.waiting(0, 9).await.iter().map(|status| status.id).collect();
        assert!(order.ends_with(&[waits, paused]) || order == [paused], "{order:?}");
        queue.idle().await;
        assert_eq!(queue.status(paused).await.unwrap().state, JobState::Paused);
        let report = queue.status(running).await.unwrap().report.unwrap();
        assert!(report.resumed >= 2 * MIB, "{report:?}");
        sandbox.assert_ok_file(&PAYLOAD, "running");
        sandbox.assert_ok_file(&PAYLOAD, "waits");
        queue.close().await.unwrap();
    });
}

#[test]
fn ten_thousand_jobs_are_added_in_order_and_listed_by_page() {
    on_a_runtime(async {
        let sandbox = Sandbox::new();
        let session = sandbox.path("queue");
        let queue = open(1, Some(&session)).await.unwrap();
        let mut adding = tokio::task::JoinSet::new();
        for number in 0..10_000 {
            let queue = queue.clone();
            let job = Job::new(format!("http://127.0.0.1:9/{number}"));
            adding.spawn(async move { queue.add_at(job, None, true).await });
        }
        while let Some(added) = adding.join_next().await {
            added.unwrap().unwrap();
        }
        assert_eq!(queue.totals().await.paused, 10_000);
        let page = queue.waiting(9_990, 20).await;
        assert_eq!(page.len(), 10);
        queue.close().await.unwrap();
        let queue = open(1, Some(&session)).await.unwrap();
        assert_eq!(queue.totals().await.paused, 10_000);
        assert_eq!(queue.waiting(9_990, 1).await[0].id, page[0].id);
        queue.close().await.unwrap();
    });
}

#[test]
fn a_queue_is_idle_once_its_last_running_job_is_removed_and_every_close_waits() {
    on_a_runtime(async {
        let gate = Gate::after(MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let session = sandbox.path("queue");
        let queue = open(1, Some(&session)).await.unwrap();
        let id = queue.add(job(&server, &sandbox, "file")).await.unwrap();
        until(&queue, id, |status| status.state == JobState::Running).await;
        let removing = queue.clone();
        let (removed, ()) = tokio::join!(async move { removing.remove(id).await }, queue.idle());
        removed.unwrap();
        let again = queue.add(job(&server, &sandbox, "file")).await.unwrap();
        until(&queue, again, |status| status.state == JobState::Running).await;
        let (first, second) = tokio::join!(queue.close(), queue.close());
        first.and(second).unwrap();
        // Both have waited, so the session is free.
        open(1, Some(&session)).await.unwrap().close().await.unwrap();
    });
}

#[test]
fn a_job_that_starts_over_does_so_once_and_keeps_what_it_receives_itself() {
    on_a_runtime(async {
        let gate = Gate::after(4 * MIB);
        let server = Server::serve(PAYLOAD).gate(&gate).start();
        let sandbox = Sandbox::new();
        let session = sandbox.path("queue");
        let queue = open(1, Some(&session)).await.unwrap();
        let mut restarts = job(&server, &sandbox, "file");
        restarts.options.restart = Some(true);
        let id = queue.add(restarts).await.unwrap();
        until(&queue, id, |status| status.progress.as_ref().is_some_and(|now| now.written >= 2 * MIB)).await;
        queue.close().await.unwrap();
        gate.open();
        let queue = open(1, Some(&session)).await.unwrap();
        let report = ended(&queue, id).await.report.unwrap();
        assert!(report.resumed >= 2 * MIB, "{report:?}");
        sandbox.assert_ok_file(&PAYLOAD, "file");
        queue.close().await.unwrap();
    });
}

#[test]
fn a_pause_that_the_download_refuses_is_taken_back() {
    on_a_runtime(async {
        let gate = Gate::after(2 * MIB);
        let server = Server::serve(Resource::of(PAYLOAD).no_validator()).gate(&gate).start();
        let sandbox = Sandbox::new();
        let queue = open(1, None).await.unwrap();
        let mut once = job(&server, &sandbox, "file");
        once.options.restart_if_changed = Some(false);
        let id = queue.add(once).await.unwrap();
        until(&queue, id, |status| status.progress.as_ref().is_some_and(|now| now.written >= MIB)).await;
        queue.pause(id).await.unwrap();
        until(&queue, id, |status| status.state == JobState::Running).await;
        gate.open();
        assert_eq!(ended(&queue, id).await.state, JobState::Done);
        queue.close().await.unwrap();
    });
}
