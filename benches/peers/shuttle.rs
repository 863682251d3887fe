//! The bare loop of many small files: a few blocking threads, each with one keep-alive connection; request, body, file.
//! It is the minimal cost of such a download on this machine.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use crate::Outcome;
use crate::shelf;

const CONNECTIONS: usize = 4;

/// One run of the loop.
pub(crate) struct Shuttle {
    pub(crate) address: String,
    pub(crate) count: usize,
    /// Directory in which the files are saved.
    pub(crate) output: PathBuf,
}

impl Shuttle {
    /// Hidden argument that makes this program the loop.
    pub(crate) const FLAG: &str = "--shuttle";

    /// Arguments from which [`crate::options::parse`] restores this.
    pub(crate) fn args(&self) -> Vec<String> {
        let (count, output) = (self.count.to_string(), self.output.display().to_string());
        vec![Self::FLAG.to_owned(), self.address.clone(), count, output]
    }
}

/// Downloads every file; each thread takes every nth one.
pub(crate) fn run(shuttle: &Shuttle) -> Outcome<()> {
    let ended: Vec<io::Result<()>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..CONNECTIONS).map(|first| scope.spawn(move || carry(shuttle, first))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker returns its errors")).collect()
    });
    ended.into_iter().collect::<io::Result<()>>()?;
    Ok(())
}

fn carry(shuttle: &Shuttle, first: usize) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(2 * shelf::EACH, TcpStream::connect(&shuttle.address)?);
    let mut body = Vec::new();
    for nth in (first..shuttle.count).step_by(CONNECTIONS) {
        let (name, host, directory) = (shelf::name(nth), &shuttle.address, shelf::DIRECTORY);
        let request = format!("GET /{directory}/{name} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes())?;
        body.resize(content_length(&mut stream)?, 0);
        stream.read_exact(&mut body)?;
        fs::write(shuttle.output.join(name), &body)?;
    }
    Ok(())
}

/// Reads the head of a response; returns the length of its body.
fn content_length(stream: &mut impl BufRead) -> io::Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(format!("not a 200: {}", line.trim_end())));
    }
    let mut length = None;
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    length.ok_or_else(|| io::Error::other("an answer without Content-Length"))
}
