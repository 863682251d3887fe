//! Destination of a worker's bytes, and the thread they are written on.

use crate::storage::{Pipe, Storage};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// Writes bytes at offsets.
#[derive(Clone)]
pub(crate) struct Sink {
    storage: Arc<dyn Storage>,
    pipe: Option<Arc<Pipe>>,
    inline: bool,
}

impl Sink {
    /// Writes into a file; `inline` on the calling thread, otherwise on one that may block.
    pub(crate) fn file(storage: Arc<dyn Storage>, inline: bool) -> Self {
        Self { storage, pipe: None, inline }
    }

    /// Writes into a pipe, which is memory, and waits for room.
    pub(crate) fn pipe(pipe: Arc<Pipe>) -> Self {
        Self { storage: pipe.clone(), pipe: Some(pipe), inline: true }
    }

    /// Returns after the bytes are written. Not cancel-safe: once begun, a write must be awaited, or it may happen
    /// after its range was given to another worker.
    pub(crate) async fn write(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        if let Some(pipe) = &self.pipe {
            pipe.wait_for_room(offset + bytes.len() as u64).await?;
        }
        if self.inline {
            return self.storage.write_at(offset, &bytes);
        }
        let storage = self.storage.clone();
        let writing = crate::threads::offload(move || storage.write_at(offset, &bytes));
        writing.await.map_err(io::Error::other)?
    }
}
