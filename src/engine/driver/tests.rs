//! The driver in paused time: connections in memory, and a clock that runs only while everything waits.

use super::super::{Client, ClientSettings, Connections, Download, Jobs, Phase, Progress, Report, Request};
use crate::error::{Error, Kind};
use crate::transport::Wire;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

const LENGTH: usize = 4 << 20;

fn payload() -> Vec<u8> {
    let mut state = 94_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..LENGTH).map(next).collect()
}

/// Behaviour of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Sends everything at once.
    Quick,
    /// Sends 64 KiB, and 16 KiB more each 100 ms.
    Slow,
    /// Sends 64 KiB, and then nothing.
    Stuck,
    /// Takes the request, and answers nothing.
    Silent,
    /// Answers 503.
    Busy,
}

struct Server {
    mood: watch::Sender<Mood>,
    requests: watch::Sender<usize>,
    /// Connections that are open.
    open: AtomicUsize,
    payload: Vec<u8>,
}

impl Server {
    async fn run(self: Arc<Self>, mut lines: mpsc::UnboundedReceiver<DuplexStream>) {
        let mut serving = JoinSet::new();
        while let Some(line) = lines.recv().await {
            let server = self.clone();
            serving.spawn(async move {
                server.open.fetch_add(1, Ordering::SeqCst);
                // A client that hangs up ends it.
                let _ = server.serve(line).await;
                server.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    async fn serve(&self, line: DuplexStream) -> std::io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(line);
        let mut head = Vec::new();
        loop {
            let read = reader.read_buf(&mut head).await?;
            if read == 0 {
                return Ok(());
            }
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            let request = String::from_utf8_lossy(&head).into_owned();
            head.clear();
            self.requests.send_modify(|requests| *requests += 1);
            let mut gone = [0];
            tokio::select! {
                answered = self.answer(&request, &mut writer) => answered?,
                _ = reader.read(&mut gone) => return Ok(()),
            }
        }
    }

    async fn answer(
        &self,
        request: &str,
        writer: &mut (impl tokio::io::AsyncWrite + Unpin),
    ) -> std::io::Result<()> {
        let mood = *self.mood.borrow();
        match mood {
            Mood::Silent => std::future::pending().await,
            Mood::Busy => {
                return writer.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
            }
            Mood::Quick | Mood::Slow | Mood::Stuck => {}
        }
        let (first, last) = range(request);
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes {first}-{last}/{LENGTH}\r\n\
             Content-Length: {}\r\n\r\n",
            last - first + 1
        );
        writer.write_all(head.as_bytes()).await?;
        if request.starts_with("HEAD") {
            return Ok(());
        }
        let body = &self.payload[first..=last];
        let at_once = if mood == Mood::Quick { body.len() } else { body.len().min(64 << 10) };
        writer.write_all(&body[..at_once]).await?;
        for piece in body[at_once..].chunks(16 << 10) {
            match mood {
                Mood::Stuck => std::future::pending().await,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            writer.write_all(piece).await?;
        }
        Ok(())
    }
}

/// First and last byte of the requested range.
fn range(request: &str) -> (usize, usize) {
    let lower = request.to_ascii_lowercase();
    let Some((_, rest)) = lower.split_once("range: bytes=") else {
        return (0, LENGTH - 1);
    };
    let (first, last) = rest.lines().next().unwrap().split_once('-').unwrap();
    (first.parse().unwrap(), last.trim().parse().map_or(LENGTH - 1, |last: usize| last.min(LENGTH - 1)))
}

/// A server, a client on the wire to it, and a directory.
struct Lab {
    server: Arc<Server>,
    client: Client,
    directory: tempfile::TempDir,
    /// Ends with the lab.
    _running: JoinSet<()>,
}

impl Lab {
    fn new(mood: Mood) -> Self {
        let (wire, lines) = Wire::new();
        let server = Arc::new(Server {
            mood: watch::channel(mood).0,
            requests: watch::channel(0).0,
            open: AtomicUsize::new(0),
            payload: payload(),
        });
        let mut running = JoinSet::new();
        running.spawn(server.clone().run(lines));
        let mut settings = ClientSettings::default();
        (settings.wire, settings.jobs) = (Some(wire), Jobs::AtMost(1));
        let client = Client::new(settings).unwrap();
        Self { server, client, directory: tempfile::tempdir().unwrap(), _running: running }
    }

    fn target(&self) -> std::path::PathBuf {
        self.directory.path().join("file.bin")
    }

    fn start(&self) -> Download {
        let request = Request::new("http://h/file.bin").unwrap().output(self.target());
        self.client.start(request.connections(Connections::AtMost(2)))
    }

    /// Waits until the server was asked so many times.
    async fn asked(&self, times: usize) {
        let _ = self.server.requests.subscribe().wait_for(|requests| *requests >= times).await;
    }

    fn mood(&self, mood: Mood) {
        self.server.mood.send_replace(mood);
    }

    /// The file is complete, and nothing is left beside it.
    fn assert_complete(&self, report: &Report) {
        assert_eq!(report.size, LENGTH as u64);
        assert!(std::fs::read(self.target()).unwrap() == self.server.payload);
        assert_eq!(names_in(self.directory.path()), ["file.bin"]);
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn until(download: &Download, told: impl FnMut(&Progress) -> bool) {
    download.progress().wait_for(told).await.unwrap();
}

/// A phase of a download, and how to bring one into it.
const PHASES: [(Mood, &str); 5] = [
    (Mood::Silent, "nothing answered yet"),
    (Mood::Busy, "waits before it asks again"),
    (Mood::Slow, "bytes flow"),
    (Mood::Stuck, "bytes flow no more"),
    (Mood::Quick, "at the end"),
];

/// Waits until the server's mood shows in the download.
async fn into(mood: Mood, lab: &Lab, download: &Download) {
    match mood {
        Mood::Silent => lab.asked(1).await,
        Mood::Busy => lab.asked(2).await,
        Mood::Slow | Mood::Stuck => until(download, |progress| progress.received >= 64 << 10).await,
        Mood::Quick => until(download, |progress| progress.received > 0).await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_download_does_nothing_for_a_day_and_then_goes_on_whatever_it_was_at() {
    for (mood, phase) in PHASES {
        let lab = Lab::new(mood);
        let download = lab.start();
        into(mood, &lab, &download).await;
        download.control().pause();
        if mood == Mood::Quick {
            // It may have been over before the order came.
            lab.assert_complete(&finished(download, true).await.unwrap());
            continue;
        }
        until(&download, |progress| progress.phase == Phase::Paused).await;
        assert!(download.progress().borrow().connections.is_empty(), "{phase}");
        let asked = *lab.server.requests.borrow();
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        assert_eq!(*lab.server.requests.borrow(), asked, "{phase}: it asked while it was paused");
        assert_eq!(download.progress().borrow().phase, Phase::Paused, "{phase}");
        lab.mood(Mood::Quick);
        lab.assert_complete(&finished(download, true).await.unwrap());
    }
}

/// Waits for the end, and lets the download go on if it rests.
async fn finished(download: Download, resume: bool) -> Result<Report, Error> {
    if resume {
        download.control().resume();
    }
    download.join().await
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_download_ends_within_a_second_and_keeps_what_came() {
    for (mood, phase) in PHASES {
        let lab = Lab::new(mood);
        let download = lab.start();
        into(mood, &lab, &download).await;
        let began = Instant::now();
        download.cancel();
        match download.join().await {
            Ok(report) if mood == Mood::Quick => {
                lab.assert_complete(&report);
                continue;
            }
            outcome => assert_eq!(outcome.unwrap_err().kind(), Kind::Cancelled, "{phase}"),
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{phase}: {:?}", began.elapsed());
        if matches!(mood, Mood::Slow | Mood::Stuck) {
            assert!(crate::manifest::inspect(&lab.target()).unwrap().durable >= 64 << 10, "{phase}");
        }
        lab.mood(Mood::Quick);
        let report = lab.start().join().await.unwrap();
        lab.assert_complete(&report);
        let kept = matches!(mood, Mood::Slow | Mood::Stuck);
        assert!(kept <= (report.fetched < LENGTH as u64), "{phase}: {} were fetched again", report.fetched);
    }
}

#[tokio::test(start_paused = true)]
async fn a_queued_download_can_be_paused_and_cancelled_and_the_next_one_has_its_slot() {
    let lab = Lab::new(Mood::Silent);
    let first = lab.start();
    into(Mood::Silent, &lab, &first).await;
    let other = lab.directory.path().join("other.bin");
    let queued = |path: &Path| lab.client.start(Request::new("http://h/o").unwrap().output(path));
    let (paused, cancelled) = (queued(&other), queued(&lab.directory.path().join("third.bin")));
    paused.control().pause();
    cancelled.cancel();
    assert_eq!(cancelled.join().await.unwrap_err().kind(), Kind::Cancelled);
    lab.mood(Mood::Quick);
    first.cancel();
    assert_eq!(first.join().await.unwrap_err().kind(), Kind::Cancelled);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!other.exists(), "it was paused");
    paused.control().resume();
    assert_eq!(paused.join().await.unwrap().size, LENGTH as u64);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_delivers_nothing_is_replaced_after_the_stall_timeout() {
    let lab = Lab::new(Mood::Stuck);
    let began = Instant::now();
    let download = lab.start();
    into(Mood::Stuck, &lab, &download).await;
    lab.mood(Mood::Quick);
    lab.assert_complete(&download.join().await.unwrap());
    assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_silent_is_given_up_after_the_rounds_that_are_allowed() {
    let lab = Lab::new(Mood::Silent);
    let began = Instant::now();
    let error = lab.start().join().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    // Eight rounds of 30 s, and the pauses between them.
    assert!(began.elapsed() >= Duration::from_secs(240), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(600), "{:?}", began.elapsed());
}

#[expect(clippy::disallowed_methods, reason = "another process, which haul does not know, writes this file")]
#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_fails_ends_the_download_and_takes_nothing_from_its_neighbour() {
    let lab = Lab::new(Mood::Slow);
    let download = lab.start();
    let manifest = lab.directory.path().join("file.bin.haul");
    until(&download, |progress| progress.durable > 0).await;
    // As if another process had taken over.
    std::fs::write(lab.directory.path().join("theirs"), b"of another process").unwrap();
    std::fs::rename(lab.directory.path().join("theirs"), &manifest).unwrap();
    let error = download.join().await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Locked | Kind::Disk), "{error:?}");
    assert_eq!(std::fs::read(&manifest).unwrap(), b"of another process");
    assert!(!lab.target().exists());
}

/// Destination that takes a second for each write, or panics.
struct Odd {
    panics: bool,
    bytes: Mutex<Vec<u8>>,
}

impl crate::OwnDestination for Odd {
    fn constraints(&self) -> crate::Constraints {
        crate::Constraints::in_order()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let mut all = self.bytes.lock().unwrap();
        assert_eq!(all.len() as u64, offset);
        assert!(!self.panics || offset < 1 << 20, "as if a bug had struck");
        // A thread that blocks stops the paused clock, as a slow disk holds up a run.
        std::thread::yield_now();
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn discard(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_panics_ends_its_download_alone() {
    let lab = Lab::new(Mood::Quick);
    for panics in [true, false] {
        let odd = Arc::new(Odd { panics, bytes: Mutex::default() });
        let request = Request::new("http://h/file.bin").unwrap().into_destination(odd.clone());
        match lab.client.start(request).join().await {
            Err(error) => assert!(panics, "{error}"),
            Ok(report) => {
                assert!(!panics);
                assert_eq!(report.size, LENGTH as u64);
                assert!(*odd.bytes.lock().unwrap() == lab.server.payload);
            }
        }
    }
}
