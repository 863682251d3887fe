//! A pipe as storage: bytes arrive in any order within a window and leave in order.

use super::Storage;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Poll interval of the front if no thread waits for it, and bytes moved at once then: the capacity of a pipe.
const TURN: Duration = Duration::from_millis(5);
const TURN_BYTES: usize = 64 << 10;

/// Buffers bytes ahead of the front, in a ring of fixed size, until the gap before them is closed.
///
/// The plan requests no bytes beyond the window after the *drained* ones, so writes always find their place; a write
/// that does not is refused as a defect instead of growing the ring.
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// Signalled when bytes at the front become available, or when no more will come.
    available: Condvar,
    /// Signalled when bytes have left and the window has moved.
    room: tokio::sync::Notify,
}

struct State {
    ring: Ring,
    /// Number of bytes that have left through the pipe.
    drained: u64,
    /// Ranges within the window that have been written.
    written: crate::plan::RangeSet,
    closed: bool,
}

impl Pipe {
    #[cfg(test)]
    pub(crate) fn new(window: usize) -> Self {
        Self::begun(window, 0)
    }

    /// A pipe whose first `from` bytes have left in an earlier run.
    pub(crate) fn begun(window: usize, from: u64) -> Self {
        let state = State {
            ring: Ring::new(window),
            drained: from,
            written: crate::plan::RangeSet::new(),
            closed: false,
        };
        Self { state: Mutex::new(state), available: Condvar::new(), room: tokio::sync::Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The ring is only ever changed by copies that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if nothing was ever written to it, so that the download can start over.
    pub(crate) fn is_untouched(&self) -> bool {
        let state = self.lock();
        state.drained == 0 && state.written.is_empty()
    }

    /// Number of bytes that have left through the pipe.
    pub(crate) fn drained(&self) -> u64 {
        self.lock().drained
    }

    /// Ends the writing: [`Self::drain_to`] returns once all bytes are out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.available.notify_all();
        self.room.notify_waiters();
    }

    /// Moves bytes to `out` in order until the pipe is closed; passes each run of them to `seen`.
    ///
    /// Blocking: to be run on a thread of its own.
    pub(crate) fn drain_to(&self, out: &mut dyn Write, mut seen: impl FnMut(&[u8])) -> io::Result<u64> {
        let mut buffer = Vec::new();
        loop {
            if self.move_some(out, &mut seen, &mut buffer, 1 << 20)? {
                continue;
            }
            let mut state = self.lock();
            while state.written.run_at(state.drained).is_none() {
                if state.closed {
                    return Ok(state.drained);
                }
                state = self.available.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Does the same as [`Self::drain_to`] on a shared thread, yielding to its other tasks.
    pub(crate) async fn drain_in_turns(
        &self,
        out: &mut (dyn Write + Send),
        mut seen: impl FnMut(&[u8]),
    ) -> io::Result<u64> {
        let mut buffer = Vec::new();
        loop {
            if self.move_some(out, &mut seen, &mut buffer, TURN_BYTES)? {
                tokio::task::yield_now().await;
                continue;
            }
            let (closed, drained) = {
                let state = self.lock();
                (state.closed && state.written.run_at(state.drained).is_none(), state.drained)
            };
            if closed {
                return Ok(drained);
            }
            tokio::time::sleep(TURN).await;
        }
    }

    /// Moves up to `most` bytes to `out`; returns false if there are none at the front.
    fn move_some(
        &self,
        out: &mut dyn Write,
        seen: &mut impl FnMut(&[u8]),
        buffer: &mut Vec<u8>,
        most: usize,
    ) -> io::Result<bool> {
        let state = self.lock();
        let from = state.drained;
        let Some(run) = state.written.run_at(from) else {
            return Ok(false);
        };
        let length = ((run.end() - from) as usize).min(most);
        buffer.clear();
        state.ring.read(from, length, buffer);
        drop(state);
        out.write_all(buffer)?;
        seen(buffer);
        let mut state = self.lock();
        state.drained = from + length as u64;
        let drained = crate::plan::ByteRange::new(0, state.drained);
        state.written.remove(drained);
        drop(state);
        self.room.notify_waiters();
        Ok(true)
    }

    /// Waits until positions up to `end` lie within the window: back-pressure from a slow reader of the pipe to the
    /// socket.
    ///
    /// # Errors
    /// `BrokenPipe` once the pipe is closed: it has no reader any more.
    pub(crate) async fn wait_for_room(&self, end: u64) -> io::Result<()> {
        loop {
            let mut moved = std::pin::pin!(self.room.notified());
            moved.as_mut().enable();
            {
                let state = self.lock();
                if state.closed {
                    return Err(io::Error::new(
                        io::ErrorKind::BrokenPipe,
                        "broken pipe: the output is not read any more",
                    ));
                }
                if state.has_room(end) {
                    return Ok(());
                }
            }
            moved.await;
        }
    }
}

impl State {
    fn has_room(&self, end: u64) -> bool {
        end <= self.drained + self.ring.window
    }
}

/// Bytes of a window, in blocks that take memory from the first byte written to them on: most streams are short.
struct Ring {
    window: u64,
    blocks: Vec<Option<Box<[u8]>>>,
}

impl Ring {
    const BLOCK: u64 = 256 << 10;

    fn new(window: usize) -> Self {
        let window = window as u64;
        let count = usize::try_from(window.div_ceil(Self::BLOCK)).unwrap_or(usize::MAX);
        Self { window, blocks: vec![None; count] }
    }

    /// Number of the block at a position, the place in it, and the number of bytes up to the end of it or of the window.
    fn place(&self, position: u64) -> (usize, usize, usize) {
        let at = position % self.window;
        let (block, within) = (at / Self::BLOCK, at % Self::BLOCK);
        let room = (Self::BLOCK - within).min(self.window - at);
        // Each is at most the window, which was a `usize`.
        (block as usize, within as usize, room as usize)
    }

    fn write(&mut self, mut position: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (block, within, room) = self.place(position);
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            let block = self.blocks[block].get_or_insert_with(|| vec![0; Self::BLOCK as usize].into());
            block[within..within + now.len()].copy_from_slice(now);
            (position, bytes) = (position + now.len() as u64, rest);
        }
    }

    /// Adds bytes that were written to `buffer`.
    fn read(&self, mut position: u64, mut length: usize, buffer: &mut Vec<u8>) {
        while length > 0 {
            let (block, within, room) = self.place(position);
            let now = length.min(room);
            if let Some(block) = &self.blocks[block] {
                buffer.extend_from_slice(&block[within..within + now]);
            }
            (position, length) = (position + now as u64, length - now);
        }
    }
}

impl Storage for Pipe {
    fn len(&self) -> io::Result<u64> {
        Ok(self.drained())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let end = offset + bytes.len() as u64;
        let window = state.ring.window;
        if offset < state.drained || end > state.drained + window {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a write outside the window of the pipe",
            ));
        }
        state.ring.write(offset, bytes);
        state.written.insert(crate::plan::ByteRange::new(offset, end));
        drop(state);
        self.available.notify_all();
        Ok(())
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe cannot be read back"))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_whatever_order_they_came_in() {
        let pipe = Pipe::new(8);
        pipe.write_at(4, b"efgh").unwrap();
        pipe.write_at(0, b"abcd").unwrap();
        pipe.close();
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        assert_eq!(pipe.drain_to(&mut out, |bytes| seen.extend_from_slice(bytes)).unwrap(), 8);
        assert_eq!(out, b"abcdefgh");
        assert_eq!(seen, out);
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken_when_the_pipe_closes() {
        let pipe = std::sync::Arc::new(Pipe::new(4));
        let waiting = pipe.clone();
        let mut waiters = tokio::task::JoinSet::new();
        waiters.spawn(async move { waiting.wait_for_room(5).await });
        tokio::task::yield_now().await;
        pipe.close();
        assert!(waiters.join_next().await.unwrap().unwrap().is_err());
    }

    #[test]
    fn the_ring_wraps() {
        let pipe = Pipe::new(4);
        let mut out = Vec::new();
        for at in 0..5_u64 {
            pipe.lock().closed = false;
            pipe.write_at(at * 3, &[at as u8; 3]).unwrap();
            pipe.close();
            pipe.drain_to(&mut out, |_| ()).unwrap();
        }
        assert_eq!(out, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
    }

    #[test]
    fn the_ring_takes_memory_for_what_is_written_and_wraps_at_any_place() {
        let window = 3 * Ring::BLOCK + 7;
        let mut ring = Ring::new(window as usize);
        ring.write(5, b"abc");
        assert_eq!(ring.blocks.iter().flatten().count(), 1);
        let bytes: Vec<u8> = (0..window).map(|at| (at % 251) as u8).collect();
        for start in [0, 1, Ring::BLOCK - 1, window - 1, window, 10 * window + 12_345] {
            ring.write(start, &bytes);
            let mut read = Vec::new();
            ring.read(start, bytes.len(), &mut read);
            assert!(read == bytes, "{start}");
        }
    }

    #[test]
    fn nothing_is_taken_beyond_the_window() {
        let pipe = Pipe::new(4);
        assert!(pipe.write_at(1, b"abcd").is_err());
        assert!(pipe.write_at(1, b"bcd").is_ok());
    }
}
