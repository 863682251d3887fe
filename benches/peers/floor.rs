//! The bare loop: a few blocking threads, each with one connection, `recv` into 1 MiB and `pwrite`. No retries, no
//! validators, no checkpoints, no digest. It is the minimal cost of a download on this machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::Outcome;
use crate::secure::Secure;

const BUFFER: usize = 1 << 20;

/// One run of the loop.
pub(crate) struct Floor {
    pub(crate) address: String,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) connections: u64,
    pub(crate) output: PathBuf,
    /// Certificate of the trusted authority; with it, the loop uses TLS.
    pub(crate) ca: Option<PathBuf>,
}

impl Floor {
    /// Hidden argument that makes this program the loop.
    pub(crate) const FLAG: &str = "--floor";

    /// Arguments from which [`crate::options::parse`] restores this.
    pub(crate) fn args(&self) -> Vec<String> {
        let mut args = vec![
            Self::FLAG.to_owned(),
            self.address.clone(),
            self.path.clone(),
            self.size.to_string(),
            self.connections.to_string(),
            self.output.display().to_string(),
        ];
        args.extend(self.ca.iter().map(|ca| ca.display().to_string()));
        args
    }
}

/// Downloads the file in equal ranges, one a thread.
pub(crate) fn run(floor: &Floor) -> Outcome<()> {
    let file = File::create(&floor.output)?;
    file.set_len(floor.size)?;
    let secure = floor.ca.as_deref().map(Secure::trusting).transpose()?;
    let share = floor.size.div_ceil(floor.connections);
    let ended: Vec<io::Result<()>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..floor.connections)
            .map(|nth| (nth * share, floor.size.min((nth + 1) * share)))
            .map(|(from, to)| {
                let (file, secure) = (&file, secure.as_ref());
                scope.spawn(move || fetch(floor, secure, file, from, to))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker returns its errors")).collect()
    });
    ended.into_iter().collect::<io::Result<()>>()?;
    Ok(())
}

fn fetch(floor: &Floor, secure: Option<&Secure>, file: &File, from: u64, to: u64) -> io::Result<()> {
    let stream = TcpStream::connect(&floor.address)?;
    match secure {
        Some(secure) => receive(floor, secure.over(stream)?, file, from, to),
        None => receive(floor, stream, file, from, to),
    }
}

fn receive(floor: &Floor, mut stream: impl Read + Write, file: &File, from: u64, to: u64) -> io::Result<()> {
    let (path, host, last) = (&floor.path, &floor.address, to - 1);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={from}-{last}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // The head is read through a small buffer; body bytes that come with it are written first.
    let mut head = BufReader::with_capacity(4096, stream);
    skip_head(&mut head)?;
    let early = head.buffer().to_vec();
    file.write_all_at(&early, from)?;
    drain(head.into_inner(), file, from + early.len() as u64, to)
}

fn skip_head(head: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    head.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 206 ") {
        return Err(io::Error::other(format!("not a 206: {}", line.trim_end())));
    }
    while line != "\r\n" {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn drain(mut stream: impl Read, file: &File, mut at: u64, to: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while at < to {
        let received = stream.read(&mut buffer)?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&buffer[..received], at)?;
        at += received as u64;
    }
    Ok(())
}
