//! Scripted proxies that record their requests: http (forwarding and `CONNECT`) and SOCKS 5.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy on loopback. It lives as long as the test program.
pub(crate) struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Speaks http. With `wanted`, every request must carry this `Proxy-Authorization`.
    pub(crate) fn http(wanted: Option<&str>) -> Self {
        let wanted = wanted.map(str::to_owned);
        Self::start(move |client, heads| serve_http(client, wanted.as_deref(), heads))
    }

    /// Reads the head of a request, sends this response and hangs up.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |mut client, heads| {
            let head = read_head(&mut client)?;
            heads.lock().unwrap().push(head);
            client.write_all(answer)
        })
    }

    /// Speaks SOCKS 5 without credentials.
    pub(crate) fn socks() -> Self {
        Self::start(|client, heads| serve_socks(client, None, 0, heads))
    }

    /// Speaks SOCKS 5 with this user name and password.
    pub(crate) fn socks_for(user: &'static str, password: &'static str) -> Self {
        Self::start(move |client, heads| serve_socks(client, Some((user, password)), 0, heads))
    }

    /// Refuses every connection with this SOCKS 5 code.
    pub(crate) fn socks_refusing(code: u8) -> Self {
        Self::start(move |client, heads| serve_socks(client, None, code, heads))
    }

    fn start(
        serve: impl Fn(TcpStream, &Mutex<Vec<String>>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (kept, serve) = (heads.clone(), Arc::new(serve));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (kept, serve) = (kept.clone(), serve.clone());
                // The proxy ignores clients that hang up.
                thread::spawn(move || drop(serve(client, &kept)));
            }
        });
        Self { port, heads }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Requests received: heads of http requests, or the servers named to SOCKS.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve_http(mut client: TcpStream, wanted: Option<&str>, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = read_head(&mut client)?;
    heads.lock().unwrap().push(head.clone());
    let authorized = |wanted: &str| {
        head.lines().any(|line| {
            line == format!("proxy-authorization: {wanted}")
                || line == format!("Proxy-Authorization: {wanted}")
        })
    };
    if !wanted.is_none_or(authorized) {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    if head.starts_with("CONNECT ") {
        let server = TcpStream::connect(target)?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return relay(client, server);
    }
    let (authority, path) = target.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
    let mut server = TcpStream::connect(authority)?;
    // One request a connection, without the fields meant for the proxy.
    let kept: Vec<_> = head
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("proxy-"))
        .collect();
    let method = head.split(' ').next().unwrap();
    write!(server, "{method} /{path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))?;
    relay(client, server)
}

fn serve_socks(
    mut client: TcpStream,
    login: Option<(&str, &str)>,
    code: u8,
    heads: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods)?;
    let method = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        heads.lock().unwrap().push("no method".to_owned());
        return client.write_all(&[5, 0xff]);
    }
    client.write_all(&[5, method])?;
    if let Some((user, password)) = login {
        client.read_exact(&mut [0])?;
        let given = (read_text(&mut client)?, read_text(&mut client)?);
        let wrong = given != (user.to_owned(), password.to_owned());
        client.write_all(&[1, u8::from(wrong)])?;
        if wrong {
            heads.lock().unwrap().push("wrong password".to_owned());
            return Ok(());
        }
    }
    let mut request = [0; 4];
    client.read_exact(&mut request)?;
    let host = match request[3] {
        1 => {
            let mut ip = [0; 4];
            client.read_exact(&mut ip)?;
            Ipv4Addr::from(ip).to_string()
        }
        _ => read_text(&mut client)?,
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    let server = format!("{host}:{}", u16::from_be_bytes(port));
    heads.lock().unwrap().push(server.clone());
    if code != 0 {
        return client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    let server = TcpStream::connect(server)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    relay(client, server)
}

/// Reads a text with a length prefix.
fn read_text(client: &mut TcpStream) -> io::Result<String> {
    let mut length = [0];
    client.read_exact(&mut length)?;
    let mut text = vec![0; length[0].into()];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    // A TLS handshake has no such end.
    while !head.ends_with(b"\r\n\r\n") && head.first() != Some(&0x16) {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn relay(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut up_from, mut up_to) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut up_from, &mut up_to);
        let _ = up_to.shutdown(Shutdown::Write);
    });
    let (mut down_from, mut down_to) = (server, client);
    let copied = io::copy(&mut down_from, &mut down_to);
    let _ = down_to.shutdown(Shutdown::Both);
    let _ = up.join();
    copied.map(drop)
}
