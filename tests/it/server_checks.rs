//! Checks of the scripted server itself, with nothing but a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::*;

struct Client(TcpStream);

impl Client {
    fn to(server: &Server) -> Self {
        Self(TcpStream::connect(("127.0.0.1", server.port())).unwrap())
    }

    fn ask(&mut self, method: &str, headers: &[&str]) {
        let mut head = format!("{method} /file HTTP/1.1\r\nHost: x\r\n");
        headers.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
        head.push_str("\r\n");
        self.0.write_all(head.as_bytes()).unwrap();
    }

    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    fn body(&mut self, len: u64) -> Vec<u8> {
        let mut body = vec![0; len as usize];
        self.0.read_exact(&mut body).unwrap();
        body
    }
}

const PAYLOAD: Payload = Payload::new(3, 300_000);

#[test]
fn the_server_answers_ranges_on_one_connection_and_counts_their_bytes() {
    let server = Server::serve(PAYLOAD).start();
    let mut client = Client::to(&server);
    for (asked, range) in [("100-199", 100..200), ("299990-", 299_990..300_000), ("-7", 299_993..300_000)] {
        client.ask("GET", &[&format!("Range: bytes={asked}"), "If-Range: \"v1\""]);
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
        assert!(
            head.contains(&format!("Content-Range: bytes {}-{}/300000", range.start, range.end - 1)),
            "{head}"
        );
        assert_eq!(client.body(range.end - range.start), PAYLOAD.bytes(range));
    }
    client.ask("GET", &["Range: bytes=300000-"]);
    assert!(client.head().contains("Content-Range: bytes */300000"));
    client.body(22);
    client.ask("GET", &["Range: bytes=5-6", "If-Range: \"old\""]);
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.body(300_000), PAYLOAD.all());
    client.ask("HEAD", &[]);
    assert!(client.head().contains("Content-Length: 300000"));
    server.wait_until("six requests ended", |log| {
        log.requests.iter().filter(|r| r.ended.is_some()).count() == 6
    });
    assert_eq!((server.body_bytes(), server.connections()), (100 + 10 + 7 + 300_000, 1));
}

#[test]
fn an_answer_is_cut_reset_or_stalled_at_the_byte_that_was_named() {
    for (ending, expect_reset) in [(Ending::Close(1000), false), (Ending::Reset(1000), true)] {
        let server = Server::serve(PAYLOAD).behave(move |_, _| Reply::Ends(ending)).start();
        let mut client = Client::to(&server);
        client.ask("GET", &[]);
        let mut rest = Vec::new();
        let end = client.0.read_to_end(&mut rest);
        assert_eq!(end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), expect_reset);
        assert!(expect_reset || rest.ends_with(&PAYLOAD.bytes(990..1000)));
        assert_eq!(server.body_bytes(), 1000);
    }
    let server = Server::serve(PAYLOAD).behave(|_, _| Reply::Ends(Ending::Stall(1000))).start();
    let mut client = Client::to(&server);
    client.ask("GET", &[]);
    client.head();
    client.body(1000);
    assert!(server.requests()[0].ended.is_none());
    drop(client);
    server.wait_until("the stalled exchange ended", |log| log.requests[0].ended.is_some());
}

#[test]
fn a_gate_holds_the_payload_until_it_is_opened() {
    let gate = Gate::after(5000);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let mut client = Client::to(&server);
    client.ask("GET", &[]);
    client.head();
    client.body(5000);
    gate.wait_for_waiting(1);
    assert_eq!(server.body_bytes(), 5000);
    gate.open();
    assert_eq!(client.body(295_000), PAYLOAD.bytes(5000..300_000));
}

#[test]
fn a_client_that_leaves_does_not_count_as_served_when_the_gate_opens() {
    let gate = Gate::after(5000);
    let server = Server::serve(PAYLOAD).gate(&gate).start();
    let mut client = Client::to(&server);
    client.ask("GET", &[]);
    gate.wait_for_waiting(1);
    drop(client);
    server.wait_until("the exchange ended", |log| log.requests[0].ended.is_some());
    gate.open();
    assert_eq!(server.body_bytes(), 5000);
}
