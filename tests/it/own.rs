//! Destinations of the caller's own.

use std::io;
use std::sync::{Arc, Mutex};

use crate::support::*;
use ::haul::{
    Client, ClientSettings, Connections, Constraints, Content, Digest, Kind, OwnDestination, Phase, Request,
};

const PAYLOAD: Payload = Payload::mib(92, 12);

/// Calls in order.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    Begin(Option<u64>),
    Publish(u64, usize),
    Discard,
    GiveUp,
}

struct Recorder {
    constraints: Constraints,
    bytes: Mutex<Vec<u8>>,
    calls: Mutex<Vec<Call>>,
    /// Offset at which a write fails.
    fails_at: Option<u64>,
    refuses: bool,
}

impl Recorder {
    fn new(constraints: Constraints) -> Self {
        Self { constraints, bytes: Mutex::default(), calls: Mutex::default(), fails_at: None, refuses: false }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn called(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

impl OwnDestination for Recorder {
    fn constraints(&self) -> Constraints {
        self.constraints
    }

    fn begin(&self, content: &Content) -> io::Result<()> {
        self.called(Call::Begin(content.size));
        if self.refuses { Err(io::Error::other("no room on the moon")) } else { Ok(()) }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut all = self.bytes.lock().unwrap();
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.fails_at.is_some_and(|at| (start..end).contains(&(at as usize))) {
            return Err(io::Error::other("the moon is full"));
        }
        assert!(!self.constraints.in_order || start == all.len(), "{start} is not the next position");
        if all.len() < end {
            all.resize(end, 0);
        }
        all[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.constraints.readable, "it cannot be read");
        let all = self.bytes.lock().unwrap();
        let rest = &all[offset as usize..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn publish(&self, size: u64, digests: &[Digest]) -> io::Result<()> {
        self.called(Call::Publish(size, digests.len()));
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        self.called(Call::Discard);
        self.bytes.lock().unwrap().clear();
        Ok(())
    }

    fn give_up(&self) {
        self.called(Call::GiveUp);
    }
}

fn request(server: &Server, own: &Arc<Recorder>) -> Request {
    let request = Request::new(&server.url("/file.bin")).unwrap().into_destination(own.clone());
    request.connections(Connections::AtMost(4))
}

fn client() -> Client {
    Client::new(ClientSettings::default()).unwrap()
}

fn digest() -> Digest {
    format!("sha256:{}", PAYLOAD.sha256_hex()).parse().unwrap()
}

/// Takes bytes in any order, but cannot be read.
fn write_only() -> Constraints {
    let mut constraints = Constraints::random_access();
    constraints.readable = false;
    constraints
}

#[test]
fn bytes_come_as_the_destination_takes_them_and_are_published_once_they_are_proven() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        for constraints in [Constraints::random_access(), Constraints::in_order(), write_only()] {
            for expected in [false, true] {
                let own = Arc::new(Recorder::new(constraints));
                let request = request(&server, &own);
                let request = if expected { request.digest(digest()) } else { request };
                let report = client().start(request).join().await.unwrap();
                assert_eq!((report.size, report.path), (PAYLOAD.len, None));
                PAYLOAD.assert_is(&own.bytes.lock().unwrap());
                let published = Call::Publish(PAYLOAD.len, usize::from(expected));
                assert_eq!(own.calls(), [Call::Begin(Some(PAYLOAD.len)), published], "{constraints:?}");
            }
        }
    });
}

#[test]
fn what_is_not_the_wanted_file_is_never_published() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        for constraints in [Constraints::random_access(), Constraints::in_order(), write_only()] {
            let own = Arc::new(Recorder::new(constraints));
            let wrong = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
            let error = client().start(request(&server, &own).digest(wrong)).join().await.unwrap_err();
            assert_eq!(error.kind(), Kind::Checksum);
            assert_eq!(own.calls(), [Call::Begin(Some(PAYLOAD.len)), Call::GiveUp], "{constraints:?}");
        }
    });
}

#[test]
fn a_destination_that_refuses_or_fails_ends_the_download_with_its_own_words() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        for constraints in [Constraints::random_access(), Constraints::in_order()] {
            let refuses = Arc::new(Recorder { refuses: true, ..Recorder::new(constraints) });
            let error = client().start(request(&server, &refuses)).join().await.unwrap_err();
            assert!(error.to_string().contains("no room on the moon"), "{error}");
            assert!(refuses.bytes.lock().unwrap().is_empty());
            let fails = Arc::new(Recorder { fails_at: Some(5 * MIB), ..Recorder::new(constraints) });
            let error = client().start(request(&server, &fails)).join().await.unwrap_err();
            assert_eq!(error.kind(), Kind::Disk);
            assert!(error.to_string().contains("the moon is full"), "{error}");
            assert_eq!(fails.calls().last(), Some(&Call::GiveUp));
        }
    });
}

#[test]
fn a_new_version_discards_the_old_one_before_it_begins() {
    on_a_runtime(async {
        for constraints in [Constraints::random_access(), Constraints::in_order()] {
            let gate = Gate::after(6 * MIB);
            let server = Server::serve(PAYLOAD).gate(&gate).start();
            let own = Arc::new(Recorder::new(constraints));
            let download = client().start(request(&server, &own));
            download.progress().wait_for(|progress| progress.written >= 4 * MIB).await.unwrap();
            let new = Payload::mib(93, 12);
            server.replace(Resource::of(new).etag("\"v2\""));
            server.hang_up();
            gate.open();
            download.join().await.unwrap();
            new.assert_is(&own.bytes.lock().unwrap());
            let begin = Call::Begin(Some(PAYLOAD.len));
            let calls = [begin.clone(), Call::Discard, begin, Call::Publish(new.len, 0)];
            assert_eq!(own.calls(), calls, "{constraints:?}");
        }
    });
}

#[test]
fn a_download_into_it_can_be_paused_and_cancelled() {
    on_a_runtime(async {
        for constraints in [Constraints::random_access(), Constraints::in_order()] {
            let gate = Gate::after(6 * MIB);
            let server = Server::serve(PAYLOAD).gate(&gate).start();
            let own = Arc::new(Recorder::new(constraints));
            let download = client().start(request(&server, &own));
            download.progress().wait_for(|progress| progress.written >= 4 * MIB).await.unwrap();
            download.control().pause();
            download.progress().wait_for(|progress| progress.phase == Phase::Paused).await.unwrap();
            gate.open();
            download.control().resume();
            download.join().await.unwrap();
            PAYLOAD.assert_is(&own.bytes.lock().unwrap());

            let gate = Gate::after(6 * MIB);
            server.set_gate(Some(&gate));
            let own = Arc::new(Recorder::new(constraints));
            let download = client().start(request(&server, &own));
            download.progress().wait_for(|progress| progress.written >= 4 * MIB).await.unwrap();
            download.cancel();
            assert_eq!(download.join().await.unwrap_err().kind(), Kind::Cancelled);
            assert_eq!(own.calls().last(), Some(&Call::GiveUp));
        }
    });
}
