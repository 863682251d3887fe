//! One client over WebSocket: calls and their responses, and notifications between them.

use super::answer;
use super::caller::Caller;
use super::server::responses;
use super::service::Service;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha1::{Digest as _, Sha1};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

/// Largest message taken, in bytes.
const LARGEST: usize = 16 << 20;
/// Time for a client from elsewhere to show that it knows the secret. Those of this machine may only listen.
const INTRODUCTION: Duration = Duration::from_secs(30);
/// Interval of pings; a client that has said nothing since the last one is gone.
const PING: Duration = Duration::from_secs(60);
/// Time for a client to take a message; a slower one is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Value of `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
pub(super) fn accepted(key: &[u8]) -> String {
    const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize())
}

/// Serves a connection until either side closes it, or the daemon ends.
pub(super) async fn serve<S>(service: Arc<Service>, stream: S, caller: &Caller)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits)).await;
    let mut notes = service.notes();
    let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
    // Notifications name jobs by their identifiers, and hold no more: aria2 sends them to every socket, and clients open one only to listen.
    // A client from elsewhere that has shown no secret gets none, and is given up soon.
    let mut is_heard = true;
    if service.access.is_right(None) {
        caller.introduce();
    }
    let may_hear = || caller.is_local || caller.is_known();
    let unknown_until = Instant::now() + INTRODUCTION;
    loop {
        let reply = tokio::select! {
            message = next(&mut socket) => match message {
                Some(Message::Text(text)) => {
                    is_heard = true;
                    Some(answered(&service, text.as_bytes(), caller).await)
                }
                Some(Message::Binary(bytes)) => {
                    is_heard = true;
                    Some(answered(&service, &bytes, caller).await)
                }
                // Pings are answered by the library with the next message.
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                    is_heard = true;
                    None
                }
                Some(Message::Close(_)) | None => return,
            },
            note = notes.recv() => match note {
                Ok(note) => may_hear().then(|| note.to_string()),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep_until(unknown_until), if !may_hear() => return,
            _ = pings.tick() => {
                if !std::mem::take(&mut is_heard) {
                    return;
                }
                let sent = tokio::time::timeout(PATIENCE, send(&mut socket, Message::Ping(Vec::new().into())));
                if !matches!(sent.await, Ok(true)) {
                    return;
                }
                None
            }
            () = service.stopped() => {
                let _ = tokio::time::timeout(PATIENCE, socket.close(None)).await;
                return;
            }
        };
        if let Some(text) = reply
            && !matches!(
                tokio::time::timeout(PATIENCE, send(&mut socket, Message::text(text))).await,
                Ok(true)
            )
        {
            return;
        }
    }
}

async fn answered(service: &Arc<Service>, body: &[u8], caller: &Caller) -> String {
    match answer::parse(body) {
        Ok(incoming) => responses(service, incoming, caller).await.0.to_string(),
        Err(fault) => answer::response(&Value::Null, Err(fault)).to_string(),
    }
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Option<Message> {
    use futures_core::Stream as _;
    let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *socket).poll_next(context));
    next.await?.ok()
}

/// Sends a message; false if the connection is gone.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, message: Message) -> bool {
    use futures_sink::Sink as _;
    use std::pin::Pin;
    let mut pinned = Pin::new(socket);
    if std::future::poll_fn(|context| pinned.as_mut().poll_ready(context)).await.is_err() {
        return false;
    }
    pinned.as_mut().start_send(message).is_ok()
        && std::future::poll_fn(|context| pinned.as_mut().poll_flush(context)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_in_the_example_of_rfc_6455() {
        assert_eq!(accepted(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
