//! Output of a command that haul runs for a value.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

/// Time to wait for output of child processes after the command has ended.
const GRACE: Duration = Duration::from_millis(200);

/// Bytes that a command prints until it ends, and its status; `None` if they are more than `most`. Cancel-safe as the child is.
pub(super) async fn printed(child: &mut Child, most: usize) -> io::Result<Option<(Vec<u8>, ExitStatus)>> {
    let (mut bytes, mut status) = (Vec::new(), None);
    if let Some(mut out) = child.stdout.take() {
        loop {
            tokio::select! {
                biased;
                read = out.read_buf(&mut bytes) => if read? == 0 { break },
                ended = child.wait(), if status.is_none() => status = Some(ended?),
                () = tokio::time::sleep(GRACE), if status.is_some() => break,
            }
            if bytes.len() > most {
                return Ok(None);
            }
        }
    }
    let status = match status {
        Some(status) => status,
        None => child.wait().await?,
    };
    Ok(Some((bytes, status)))
}
