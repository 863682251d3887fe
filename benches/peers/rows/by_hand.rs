//! An emulated line for experiments by hand.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::course::{Course, payload};
use crate::Outcome;
use crate::race::Track;
use crate::wan::{Line, Setting, Wan};

/// Parameters of the line: Mbit/s, milliseconds of the round trip, the share of lost packets, and 10⁶ bytes a second
/// for each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByHand {
    pub(crate) megabits: f64,
    pub(crate) milliseconds: u64,
    pub(crate) loss: f64,
    pub(crate) each: Option<f64>,
    /// Seconds of the line's rate that its queue holds, instead of one round trip.
    pub(crate) queue: Option<f64>,
}

impl ByHand {
    /// Parses `MBIT/MS[/LOSS[/EACH[/QUEUE]]]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let asked = Self {
            megabits: parts.next()?.parse().ok()?,
            milliseconds: parts.next()?.parse().ok()?,
            loss: parts.next().unwrap_or("0").parse().ok()?,
            each: parts.next().filter(|each| !each.is_empty()).map(str::parse).transpose().ok()?,
            queue: parts.next().map(str::parse).transpose().ok()?,
        };
        parts.next().is_none().then_some(asked)
    }

    /// Opens the line, prints how to use it, and keeps it until the standard input ends.
    pub(crate) fn run(self, track: &Track<'_>, root: &Path) -> Outcome<()> {
        if let Some(refusal) = Wan::refusal(track.tools) {
            return Err(refusal.into());
        }
        let payload = payload(track, root, track.options.wan_size())?;
        let line = Line::new(self.megabits, Duration::from_millis(self.milliseconds));
        let rate = self.megabits * 1e6 / 8.0;
        let queue = self.queue.map_or(line.queue, |seconds| seconds * rate);
        let line = Line { loss: self.loss, flow: self.each.map(|each| each * 1e6), queue, ..line };
        let course = Course::open(track, root, &Setting::new(line.clone()))?;
        eprintln!("Line: {line}.");
        eprintln!("The client's end: ip netns exec {}", course.wan.client().name());
        eprintln!("There: http://{}/{}", course.nginx.address(), payload.name);
        eprintln!("       https://{}/{}", course.nginx.secure_address(), payload.name);
        eprintln!("       to trust: {}", course.nginx.authority().display());
        eprintln!("The digest: {}", payload.sha256);
        eprintln!("It is kept until the input ends (Ctrl-D).");
        io::copy(&mut io::stdin(), &mut io::sink())?;
        Ok(())
    }
}
