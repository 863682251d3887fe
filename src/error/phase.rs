//! Phases of a download.

/// Current phase of a download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for its turn.
    #[default]
    Queued,
    /// Sending the first requests, or inspecting the disk.
    Starting,
    /// Bytes are being received or requested.
    Transferring,
    /// Paused: no connection of it is open. Bytes of a file with a manifest are durable; those of a small file are in memory.
    Paused,
    /// Everything is received and is being verified.
    Verifying,
    /// The download has ended.
    Ended,
}

impl Phase {
    /// Name in JSON events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Transferring => "transferring",
            Self::Paused => "paused",
            Self::Verifying => "verifying",
            Self::Ended => "ended",
        }
    }
}
