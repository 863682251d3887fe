//! Proxies that do as they are told and keep what they were told: http (forwarding and `CONNECT`) and SOCKS 5.

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

    /// Speaks SOCKS 5 without credentials.
    pub(crate) fn socks() -> Self {
        Self::start(serve_socks)
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
                // A client that hangs up is no concern of the proxy's.
                thread::spawn(move || drop(serve(client, &kept)));
            }
        });
        Self { port, heads }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it was asked: heads of http requests, or the servers that were named to SOCKS.
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
    // One request a connection, without what was meant for the proxy.
    let kept: Vec<_> = head
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("proxy-"))
        .collect();
    let method = head.split(' ').next().unwrap();
    write!(server, "{method} /{path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))?;
    relay(client, server)
}

fn serve_socks(mut client: TcpStream, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    client.read_exact(&mut vec![0; greeting[1].into()])?;
    client.write_all(&[5, 0])?;
    let mut request = [0; 4];
    client.read_exact(&mut request)?;
    let host = match request[3] {
        1 => {
            let mut ip = [0; 4];
            client.read_exact(&mut ip)?;
            Ipv4Addr::from(ip).to_string()
        }
        _ => {
            let mut length = [0];
            client.read_exact(&mut length)?;
            let mut name = vec![0; length[0].into()];
            client.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    let server = format!("{host}:{}", u16::from_be_bytes(port));
    heads.lock().unwrap().push(server.clone());
    let server = TcpStream::connect(server)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    relay(client, server)
}

fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
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
