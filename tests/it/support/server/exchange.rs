//! The server's side of one request.

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Shared;
use super::answer::{Answer, Body, Ending, Reply};
use super::gate::Gate;
use super::request::Request;
use super::resource::Resource;
use super::wire::{Wire, is_closed, reset_when_dropped};
use crate::support::payload::Payload;

const WRITE_SIZE: u64 = 64 * 1024;

/// The server's side of one request. Once the client is gone, no method has any effect.
pub(crate) struct Exchange<'a> {
    shared: &'a Arc<Shared>,
    wire: &'a mut Wire,
    request: Arc<Request>,
    record: usize,
    generation: usize,
    counted: bool,
    /// Used instead of the server's gate.
    gate: Option<Gate>,
    rate: Option<u64>,
    rate_since: Instant,
    rate_spent: u64,
    pub(crate) over: bool,
    pub(crate) with_reset: bool,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        wire: &'a mut Wire,
        request: Arc<Request>,
        record: usize,
        generation: usize,
    ) -> Self {
        Self {
            shared,
            wire,
            request,
            record,
            generation,
            counted: true,
            gate: None,
            rate: shared.rate,
            rate_since: Instant::now(),
            rate_spent: 0,
            over: false,
            with_reset: false,
        }
    }

    pub(crate) fn resource(&self) -> Resource {
        self.shared.resource_at(self.request.path())
    }

    /// Builds the response of a well-behaved server, ready to be altered.
    pub(crate) fn answer(&self) -> Answer {
        self.resource().answer(&self.request)
    }

    pub(crate) fn serve(&mut self) {
        self.send(&self.answer());
    }

    pub(crate) fn serve_resource(&mut self, resource: &Resource) {
        self.send(&resource.answer(&self.request));
    }

    /// Sends status 200 with everything, whatever was requested.
    pub(crate) fn serve_everything(&mut self) {
        let mut resource = self.resource();
        resource.honours_range = false;
        self.serve_resource(&resource);
    }

    pub(crate) fn status(&mut self, status: u16) {
        self.send(&Answer::text(status, &format!("<html><h1>{status}</h1></html>\n")));
    }

    pub(crate) fn redirect(&mut self, status: u16, location: &str) {
        let mut answer = Answer::text(status, "<html>moved</html>\n");
        answer.set("Location", location);
        self.send(&answer);
    }

    pub(crate) fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Normal => self.serve(),
            Reply::Everything => self.serve_everything(),
            Reply::Answer(answer) => self.send(&answer),
            Reply::Raw(bytes) => {
                self.send_raw(&bytes);
                self.close();
            }
            Reply::Status(status) => self.status(status),
            Reply::Redirect(status, location) => self.redirect(status, &location),
            Reply::Ends(ending) => {
                let mut answer = self.answer();
                answer.ending = ending;
                self.send(&answer);
            }
            Reply::Throttled(rate) => {
                self.throttle(rate);
                self.serve();
            }
            Reply::NoAnswer => self.stall(),
            Reply::Hangup => self.close(),
            Reply::Reset => self.reset(),
        }
    }

    /// Sends the head, and, unless the method is HEAD, the body up to its ending.
    pub(crate) fn send(&mut self, answer: &Answer) {
        self.note_status(answer.status);
        self.send_raw(&answer.head());
        if self.request.is_head() {
            return;
        }
        let whole = answer.body.len();
        let until = match answer.ending {
            Ending::Whole => whole,
            Ending::Close(after) | Ending::Reset(after) | Ending::Stall(after) => after.min(whole),
        };
        match &answer.body {
            Body::None => {}
            Body::Bytes(bytes) => self.send_body(&bytes[..until as usize]),
            Body::Payload(payload, range) => self.send_payload_of(payload, range.start..range.start + until),
        }
        match answer.ending {
            Ending::Whole => {}
            Ending::Close(_) => self.close(),
            Ending::Reset(_) => self.reset(),
            Ending::Stall(_) => self.stall(),
        }
        if answer
            .headers
            .iter()
            .any(|(n, v)| n.eq_ignore_ascii_case("connection") && v.eq_ignore_ascii_case("close"))
        {
            self.close();
        }
    }

    pub(crate) fn send_head(&mut self, status: u16, headers: &[(&str, &str)]) {
        let mut answer = Answer::new(status);
        for (name, value) in headers {
            answer.add(name, value);
        }
        self.note_status(status);
        self.send_raw(&answer.head());
    }

    /// Logs the status of a head sent with [`Exchange::send_raw`].
    pub(crate) fn note_status(&mut self, status: u16) {
        self.counted = matches!(status, 200 | 206);
        self.shared.note(self.record, self.generation, |record| {
            record.status = Some(status);
            record.answered = Some(Instant::now());
        });
    }

    /// Sends any bytes, counted nowhere.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        if !self.over && self.wire.write_all(bytes).and_then(|()| self.wire.flush()).is_err() {
            self.over = true;
        }
    }

    /// Sends bytes one by one, no faster than [`Exchange::throttle`] allows.
    pub(crate) fn send_crawling(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.pace(1);
            self.send_raw(&[*byte]);
            if self.client_is_gone() {
                self.over = true;
                return;
            }
        }
    }

    /// Sends body bytes of this exchange's own making.
    pub(crate) fn send_body(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(WRITE_SIZE as usize) {
            self.write_counted(piece);
        }
    }

    pub(crate) fn send_payload(&mut self, range: Range<u64>) {
        let payload = self.resource().payload;
        self.send_payload_of(&payload, range);
    }

    /// Sends payload bytes, through the gate and at the rate.
    pub(crate) fn send_payload_of(&mut self, payload: &Payload, range: Range<u64>) {
        let mut buffer = vec![0; WRITE_SIZE as usize];
        let mut offset = range.start;
        while offset < range.end && !self.over {
            let want = (range.end - offset).min(self.write_size());
            let Some(n) = self.pass_gate(offset, want) else {
                return;
            };
            let piece = &mut buffer[..n as usize];
            payload.fill(offset, piece);
            self.write_counted(piece);
            offset += n;
        }
    }

    /// Makes everything sent from now on pass only this gate.
    pub(crate) fn stand_at(&mut self, gate: &Gate) {
        self.gate = Some(gate.clone());
    }

    pub(crate) fn throttle(&mut self, bytes_per_second: u64) {
        self.rate = Some(bytes_per_second);
        self.rate_since = Instant::now();
        self.rate_spent = 0;
    }

    /// Closes the connection with FIN.
    pub(crate) fn close(&mut self) {
        self.over = true;
    }

    /// Closes the connection with RST.
    pub(crate) fn reset(&mut self) {
        let id = self.request.connection;
        self.shared.sockets.lock().unwrap().retain(|(other, _)| *other != id);
        reset_when_dropped(self.wire.socket());
        self.over = true;
        self.with_reset = true;
    }

    /// Keeps the connection open and sends nothing until the client closes it or the server is dropped.
    pub(crate) fn stall(&mut self) {
        let mut sink = [0; 1024];
        let mut socket = self.wire.socket();
        while !self.over {
            match socket.read(&mut sink) {
                Ok(0) | Err(_) => self.over = true,
                Ok(_) => {}
            }
        }
    }

    /// True once the client has closed its side or the server is being dropped.
    pub(crate) fn client_is_gone(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst) || self.over || is_closed(self.wire.socket())
    }

    fn pass_gate(&mut self, offset: u64, want: u64) -> Option<u64> {
        let gate = self.gate.clone().or_else(|| self.shared.gate.lock().unwrap().clone());
        match gate {
            None => Some(want),
            Some(gate) => self.pass(&gate, offset, want),
        }
    }

    fn pass(&mut self, gate: &Gate, offset: u64, want: u64) -> Option<u64> {
        let socket = self.wire.socket();
        let stopping = &self.shared.stopping;
        let passed = gate.pass(offset, want, || stopping.load(Ordering::SeqCst) || is_closed(socket));
        self.over |= passed.is_none();
        passed
    }

    fn write_size(&self) -> u64 {
        self.rate.map_or(WRITE_SIZE, |rate| (rate / 20).clamp(1, WRITE_SIZE))
    }

    fn write_counted(&mut self, bytes: &[u8]) {
        self.pace(bytes.len() as u64);
        self.send_raw(bytes);
        if !self.over && self.counted {
            self.shared.note(self.record, self.generation, |record| {
                record.body += bytes.len() as u64;
            });
        }
    }

    fn pace(&mut self, bytes: u64) {
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(self.rate_spent as f64 / rate as f64);
        thread::sleep(due.saturating_sub(self.rate_since.elapsed()));
        self.rate_spent += bytes;
    }
}
