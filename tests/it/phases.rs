//! Pause and cancel in each phase of a download.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use crate::support::*;
use ::haul::{
    Client, ClientSettings, Connections, Constraints, Content, Digest, Download, Jobs, Kind, OwnDestination,
    Phase, Request,
};

const PAYLOAD: Payload = Payload::mib(94, 6);

/// Moment at which a destination is held up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Begin,
    Write,
    Read,
    Publish,
}

/// Memory that is held up at one moment until it is let go.
struct Slow {
    at: Moment,
    state: Mutex<State>,
    changed: Condvar,
    bytes: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct State {
    held: usize,
    open: bool,
}

impl Slow {
    fn at(at: Moment) -> Arc<Self> {
        Arc::new(Self { at, state: Mutex::default(), changed: Condvar::new(), bytes: Mutex::default() })
    }

    fn pass(&self, at: Moment) {
        if at != self.at {
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.held += 1;
        self.changed.notify_all();
        while !state.open {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Waits until it is held up.
    async fn held(self: &Arc<Self>) {
        let this = self.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let state = this.state.lock().unwrap();
            drop(this.changed.wait_while(state, |state| state.held == 0).unwrap());
        });
        waiting.await.unwrap();
    }

    fn let_go(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }
}

impl OwnDestination for Slow {
    fn constraints(&self) -> Constraints {
        Constraints::random_access()
    }

    fn begin(&self, content: &Content) -> io::Result<()> {
        self.pass(Moment::Begin);
        self.bytes.lock().unwrap().resize(content.size.unwrap() as usize, 0);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.pass(Moment::Write);
        self.bytes.lock().unwrap()[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass(Moment::Read);
        let all = self.bytes.lock().unwrap();
        let rest = &all[offset as usize..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn publish(&self, _size: u64, _digests: &[Digest]) -> io::Result<()> {
        self.pass(Moment::Publish);
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        self.bytes.lock().unwrap().clear();
        Ok(())
    }
}

fn client() -> Client {
    let mut settings = ClientSettings::default();
    settings.jobs = Jobs::AtMost(1);
    Client::new(settings).unwrap()
}

fn start(client: &Client, server: &Server, own: &Arc<Slow>) -> Download {
    let digest = format!("sha256:{}", PAYLOAD.sha256_hex()).parse().unwrap();
    let request = Request::new(&server.url("/file.bin")).unwrap().into_destination(own.clone());
    client.start(request.digest(digest).connections(Connections::AtMost(2)))
}

async fn until(download: &Download, phase: Phase) {
    download.progress().wait_for(|progress| progress.phase == phase).await.unwrap();
}

#[test]
fn a_pause_while_the_destination_is_busy_waits_for_it_and_loses_nothing() {
    on_a_runtime(async {
        for at in [Moment::Begin, Moment::Write] {
            let server = Server::serve(PAYLOAD).start();
            let own = Slow::at(at);
            let download = start(&client(), &server, &own);
            own.held().await;
            download.control().pause();
            // The order was taken, and nothing is asked for any more.
            download.progress().wait_for(|progress| progress.connections.is_empty()).await.unwrap();
            assert_ne!(download.progress().borrow().phase, Phase::Paused, "{at:?}: it is still busy");
            own.let_go();
            until(&download, Phase::Paused).await;
            download.control().resume();
            assert_eq!(download.join().await.unwrap().size, PAYLOAD.len);
            PAYLOAD.assert_is(&own.bytes.lock().unwrap());
        }
    });
}

#[test]
fn a_pause_before_the_first_answer_and_one_after_the_last_byte_do_no_harm() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).behave(|_, _| Reply::NoAnswer).start();
        let own = Slow::at(Moment::Read);
        own.let_go();
        let download = start(&client(), &server, &own);
        server.wait_until("it was asked", |log| log.total_requests > 0);
        download.control().pause();
        until(&download, Phase::Paused).await;
        server.recover();
        download.control().resume();
        assert_eq!(download.join().await.unwrap().size, PAYLOAD.len);

        let own = Slow::at(Moment::Publish);
        let mut download = start(&client(), &server, &own);
        let mut events = download.events().unwrap();
        own.held().await;
        download.control().pause();
        own.let_go();
        assert_eq!(download.join().await.unwrap().size, PAYLOAD.len);
        // It had nothing to pause any more, and so it says nothing.
        while let Some(event) = events.recv().await {
            assert!(!format!("{event:?}").contains("Paused"), "{event:?}");
        }
    });
}

#[test]
fn a_download_can_be_cancelled_in_each_phase_and_the_next_one_has_its_slot() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        for at in [Moment::Begin, Moment::Write, Moment::Read] {
            let client = client();
            let own = Slow::at(at);
            let download = start(&client, &server, &own);
            let queued = start(&client, &server, &Slow::at(Moment::Begin));
            own.held().await;
            queued.cancel();
            assert_eq!(queued.join().await.unwrap_err().kind(), Kind::Cancelled, "{at:?}");
            download.cancel();
            own.let_go();
            assert_eq!(download.join().await.unwrap_err().kind(), Kind::Cancelled, "{at:?}");
            assert!(own.bytes.lock().unwrap().is_empty(), "{at:?}: it was given up");
            let free = Slow::at(Moment::Read);
            free.let_go();
            start(&client, &server, &free).join().await.unwrap();
        }
    });
}

/// Panics where it is told to.
struct Panics(Moment);

impl OwnDestination for Panics {
    fn constraints(&self) -> Constraints {
        Constraints::random_access()
    }

    fn begin(&self, _content: &Content) -> io::Result<()> {
        assert!(self.0 != Moment::Begin, "as if a bug had struck");
        Ok(())
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        assert!(self.0 != Moment::Write, "as if a bug had struck");
        Ok(())
    }

    fn publish(&self, _size: u64, _digests: &[Digest]) -> io::Result<()> {
        assert!(self.0 != Moment::Publish, "as if a bug had struck");
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_in_the_destination_ends_its_download_and_no_other() {
    on_a_runtime(async {
        let server = Server::serve(PAYLOAD).start();
        let client = client();
        for at in [Moment::Begin, Moment::Write, Moment::Publish] {
            let request = Request::new(&server.url("/file.bin")).unwrap();
            let error =
                client.start(request.into_destination(Arc::new(Panics(at)))).join().await.unwrap_err();
            assert!(matches!(error.kind(), Kind::Other | Kind::Disk), "{at:?}: {error:?}");
        }
        let free = Slow::at(Moment::Read);
        free.let_go();
        start(&client, &server, &free).join().await.unwrap();
    });
}
