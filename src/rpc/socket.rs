//! One client over WebSocket: calls and their responses, and notifications between them.

use super::answer::{self, Incoming};
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
/// Time for a client to show that it knows the secret.
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
pub(super) async fn serve<S>(service: Arc<Service>, stream: S, trusted: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits)).await;
    let mut notes = service.notes();
    let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
    // A client that has shown no secret gets no notifications, and is given up soon.
    let (mut is_known, mut is_heard) = (trusted || service.access.is_right(None), true);
    let unknown_until = Instant::now() + INTRODUCTION;
    loop {
        let reply = tokio::select! {
            message = next(&mut socket) => match message {
                Some(Message::Text(text)) => {
                    is_heard = true;
                    is_known |= shows_secret(&service, text.as_bytes());
                    Some(answered(&service, text.as_bytes(), trusted).await)
                }
                Some(Message::Binary(bytes)) => {
                    is_heard = true;
                    is_known |= shows_secret(&service, &bytes);
                    Some(answered(&service, &bytes, trusted).await)
                }
                // Pings are answered by the library with the next message.
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                    is_heard = true;
                    None
                }
                Some(Message::Close(_)) | None => return,
            },
            note = notes.recv() => match note {
                Ok(note) => is_known.then(|| note.to_string()),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep_until(unknown_until), if !is_known => return,
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

/// Returns true if the first call in a message carries the right secret.
fn shows_secret(service: &Service, body: &[u8]) -> bool {
    let first = match answer::parse(body) {
        Ok(Incoming::One(Ok(call))) => Some(call),
        Ok(Incoming::Batch(calls)) => calls.into_iter().next().and_then(Result::ok),
        _ => None,
    };
    let Some(call) = first else {
        return false;
    };
    let nested = call.params.first().map(|calls| &calls[0]["params"][0]);
    let token = call.params.first().and_then(Value::as_str).or_else(|| nested.and_then(Value::as_str));
    service.access.is_right(token)
}

async fn answered(service: &Arc<Service>, body: &[u8], trusted: bool) -> String {
    match answer::parse(body) {
        Ok(incoming) => responses(service, incoming, trusted).await.0.to_string(),
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
