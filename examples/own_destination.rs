//! A destination of one's own: the download goes into memory, over several connections, and is verified there.
//!
//! ```text
//! cargo run --release --example own_destination
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

#[expect(unreachable_pub, reason = "a module of the examples")]
#[expect(dead_code, reason = "each example uses a part of it")]
mod served;

use haul::{Client, ClientSettings, Connections, Constraints, Content, Digest, OwnDestination, Request};
use served::{SIZE, Server, hex_digest, mib, payload};
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes in memory, written at any position and read back for the digest.
#[derive(Default)]
struct Memory {
    bytes: Mutex<Vec<u8>>,
    published: Mutex<Option<Vec<Digest>>>,
}

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // A panic elsewhere cannot leave a byte half written.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnDestination for Memory {
    fn constraints(&self) -> Constraints {
        Constraints::random_access()
    }

    fn begin(&self, content: &Content) -> io::Result<()> {
        let size = content.size.filter(|size| *size <= 2 * SIZE);
        let size = size.ok_or_else(|| io::Error::other("it is too large for memory, or of no known size"))?;
        println!("begin    {} of {}", mib(size), content.media_type.as_deref().unwrap_or("unknown type"));
        self.bytes().resize(size as usize, 0);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        self.bytes()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes();
        let rest = &bytes[(offset as usize).min(bytes.len())..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn publish(&self, size: u64, digests: &[Digest]) -> io::Result<()> {
        println!("publish  {}, verified", mib(size));
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(digests.to_vec());
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        println!("discard");
        self.bytes().clear();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start()?;
    server.desk.next_run(u64::MAX);
    let url = format!("http://{}/disk.img", server.address);
    let expected = hex_digest(payload())?;
    let client = Client::new(ClientSettings::default())?;

    let memory = Arc::new(Memory::default());
    let request = Request::new(&url)?.connections(Connections::AtMost(8)).into_destination(memory.clone());
    let report = client.start(request.digest(format!("sha256:{expected}").parse()?)).join().await?;
    println!("done     over {} connections in {:.1} s", report.connections, report.elapsed.as_secs_f64());
    if hex_digest(&memory.bytes()[..])? != expected {
        return Err("the bytes in memory are others".into());
    }

    // Bytes that are not the expected ones are never published.
    let memory = Arc::new(Memory::default());
    let request = Request::new(&url)?.connections(Connections::AtMost(8)).into_destination(memory.clone());
    let wrong = format!("sha256:{}", "0".repeat(64));
    match client.start(request.digest(wrong.parse()?)).join().await {
        Err(error) => println!("refused  {error}"),
        Ok(_) => return Err("a wrong digest was accepted".into()),
    }
    let untouched = memory.published.lock().unwrap_or_else(PoisonError::into_inner).is_none();
    if untouched && memory.bytes().is_empty() { Ok(()) } else { Err("it was published all the same".into()) }
}
