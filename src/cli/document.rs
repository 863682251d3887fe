//! Text that the user names by a file or by a URL: lists of digests, Metalink documents.

use super::commands::runtime;
use super::session::{By, Session};
use crate::error::Error;
use crate::formats::escape;
use crate::{Address, Connections, Request};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What is larger is something else.
const LARGEST: usize = 8 << 20;

/// See the module.
pub(super) struct Document {
    pub(super) text: String,
    /// What the person calls it, escaped, and without secrets.
    pub(super) shown: String,
    /// Where it came from, if that was a server.
    pub(super) home: Option<Address>,
}

impl Document {
    /// Reads it; from a server in memory, in one go. `by` says who may hear of the user's secrets.
    pub(super) fn read(named: &str, session: &Session, by: By<'_>) -> Result<Self, Error> {
        let (bytes, shown, home) = if named.contains("://") {
            let request = session.request_alone(named, by)?;
            let home = request.address().clone();
            (fetched(request, session)?, home.to_string(), Some(home))
        } else {
            let shown = escape::for_terminal(named).into_owned();
            let read = read(Path::new(named));
            (read.map_err(|error| Error::usage(format!("cannot read {shown}: {error}")))?, shown, None)
        };
        let text = String::from_utf8(bytes).map_err(|_| Error::usage(format!("{shown} is no text")))?;
        Ok(Self { text, shown, home })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    #[expect(clippy::disallowed_methods, reason = "a file that the user names")]
    File::open(path)?.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST { Err(too_large()) } else { Ok(bytes) }
}

fn fetched(request: Request, session: &Session) -> Result<Vec<u8>, Error> {
    let kept = Kept::default();
    let shown = request.address().to_string();
    let request = request.stream(kept.clone()).connections(Connections::AtMost(1));
    let client = session.client()?;
    let outcome = runtime()?.block_on(async { client.start(request).join().await });
    let mut kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.overflowed {
        return Err(Error::usage(format!("{shown} is too large to be a list")));
    }
    outcome.map(|_| std::mem::take(&mut kept.bytes))
}

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Bytes>>);

#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.overflowed |= kept.bytes.len() + bytes.len() > LARGEST;
        if kept.overflowed {
            return Err(too_large());
        }
        kept.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::Error::other("it is too large to be a list")
}
