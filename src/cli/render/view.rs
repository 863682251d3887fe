//! Downloads under way as rows of a given width. Pure.

use super::{Totals, slowness};
use crate::cli::canvas::Row;
use crate::cli::colour::Tone;
use crate::cli::columns::fitting;
use crate::formats::size::{format_bytes, format_duration};
use crate::{ByteRange, Phase, Progress, Slowness};
use unicode_width::UnicodeWidthStr as _;

/// Everything that a screen shows at one moment.
pub(super) struct Scene<'a> {
    /// Files that are under way, in order.
    pub(super) files: Vec<File<'a>>,
    pub(super) totals: &'a Totals,
}

/// A file that is under way.
pub(super) struct File<'a> {
    /// Escaped.
    pub(super) name: &'a str,
    pub(super) progress: Progress,
    /// Reason of a pause, in words, if it makes one.
    pub(super) waits: Option<String>,
}

/// Files shown at once if the window has room; the others are only counted.
pub(super) const FILES: usize = 8;
/// Most rows that a file takes.
const ROWS: usize = 3;

/// Characters of the map, from empty to full, and of connections.
struct Marks {
    missing: char,
    partly: char,
    written: char,
    active: char,
    stalled: char,
    ellipsis: char,
}

const ASCII: Marks =
    Marks { missing: '.', partly: '-', written: '=', active: '>', stalled: '#', ellipsis: '~' };
const UNICODE: Marks =
    Marks { missing: '·', partly: '▒', written: '█', active: '▶', stalled: '#', ellipsis: '…' };

/// Width of the canvas, and the characters it can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paper {
    /// In columns.
    pub(super) width: usize,
    pub(super) ascii: bool,
}

/// Columns a name needs to be recognized: facts make room for it.
const LEGIBLE: usize = 12;
/// Most columns that a name takes.
const LONGEST_NAME: usize = 40;
/// Fewest cells of a useful map, and of one that makes room for words.
const SMALLEST_MAP: usize = 12;
const SMALLEST_BESIDE_WORDS: usize = 16;

impl Paper {
    const fn marks(self) -> &'static Marks {
        if self.ascii { &ASCII } else { &UNICODE }
    }

    /// Clips a text to so many columns, with an ellipsis if something is left out.
    fn clip(self, text: &str, columns: usize) -> String {
        if text.width() <= columns {
            return text.to_owned();
        }
        match columns.checked_sub(1) {
            Some(room) => format!("{}{}", fitting(text, room), self.marks().ellipsis),
            None => String::new(),
        }
    }

    fn row(self, before: &str, toned: &str, tone: Tone, after: &str) -> Row {
        let before = self.clip(before, self.width);
        let toned = self.clip(toned, self.width.saturating_sub(before.width()));
        let after = self.clip(after, self.width.saturating_sub(before.width() + toned.width()));
        Row::new(before, toned, tone, after)
    }

    /// All rows, for a window of this many lines.
    pub(super) fn scene(self, scene: &Scene<'_>, lines: usize) -> Vec<Row> {
        let several = scene.totals.count > 1;
        let most = FILES.min(lines.saturating_sub(1 + usize::from(several)) / ROWS).max(1);
        let mut rows = Vec::new();
        for file in scene.files.iter().take(most) {
            rows.push(self.headline(file.name, &file.progress));
            match &file.waits {
                Some(words) => rows.extend(self.waiting(words)),
                None => rows.extend(self.below(&file.progress)),
            }
        }
        if several {
            rows.push(self.overall(scene.totals));
        }
        rows
    }

    /// Row with name, bar, percent, bytes, rate and time left.
    fn headline(self, name: &str, progress: &Progress) -> Row {
        let room = |facts: &str| self.width.saturating_sub(facts.width() + 1);
        let variants = facts(progress);
        let legible = LEGIBLE.min(name.width());
        let facts = variants.iter().find(|facts| room(facts) >= legible).or(variants.last());
        let facts = facts.map_or("", String::as_str);
        let bar_width = match progress.size {
            Some(_) if room(facts) >= 40 => 20.min(room(facts) / 3),
            _ => 0,
        };
        let around = if bar_width > 0 { bar_width + 3 } else { 0 };
        let name = self.clip(name, room(facts).saturating_sub(around).clamp(1, LONGEST_NAME));
        match progress.size {
            Some(size) if bar_width > 0 => {
                let filled =
                    (u128::from(progress.written) * bar_width as u128 / u128::from(size.max(1))) as usize;
                let filled = filled.min(bar_width);
                let bar = self.marks().written.to_string().repeat(filled);
                let rest = self.marks().missing.to_string().repeat(bar_width - filled);
                self.row(&format!("{name} ["), &bar, Tone::Good, &format!("{rest}] {facts}"))
            }
            _ => self.row(&format!("{name} {facts}"), "", Tone::Quiet, ""),
        }
    }

    /// Row that shows the position of each connection in the file, and the reason that it is not faster.
    fn below(self, progress: &Progress) -> Option<Row> {
        if progress.phase == Phase::Verifying {
            let reasons = slowness::words(progress.slowed_by.as_ref()?);
            return Some(
                self.words(&reasons.into_iter().map(|words| format!("  {words}")).collect::<Vec<_>>()),
            );
        }
        if progress.phase != Phase::Transferring {
            return None;
        }
        let counts = counts(progress);
        match progress.size.filter(|size| *size > 0) {
            Some(size) => Some(self.map(progress, size, &counts)),
            None => progress.slowed_by.as_ref().map(|_| self.words(&counts)),
        }
    }

    /// The first of these texts that fits, or the last.
    fn words(self, texts: &[String]) -> Row {
        let fits = texts.iter().find(|text| text.width() <= self.width).or(texts.last());
        self.row(fits.map_or("", String::as_str), "", Tone::Quiet, "")
    }

    /// Map of a file of `size` bytes, with the longest of the counts that leaves room for it.
    fn map(self, progress: &Progress, size: u64, counts: &[String]) -> Row {
        let room = |count: &String| self.width.saturating_sub(count.width() + 4);
        let count = counts.iter().find(|count| room(count) >= SMALLEST_BESIDE_WORDS).or(counts.last());
        let count = count.map_or("", String::as_str);
        let cells = self.width.saturating_sub(count.width() + 4).min(72);
        if cells < SMALLEST_MAP {
            return self.row(&format!(" {count}"), "", Tone::Quiet, "");
        }
        let marks = self.marks();
        let mut map: Vec<char> = (0..cells).map(|cell| mark(progress, size, cell, cells, marks)).collect();
        for connection in &progress.connections {
            let at = (u128::from(connection.position) * cells as u128 / u128::from(size)) as usize;
            map[at.min(cells - 1)] = if connection.stalled { marks.stalled } else { marks.active };
        }
        self.row("  [", &map.iter().collect::<String>(), Tone::Quiet, &format!("]{count}"))
    }

    /// Rows with the cause of a wait: two if one is too short.
    fn waiting(self, words: &str) -> Vec<Row> {
        let end = fitting(words, self.width.saturating_sub(2)).len();
        let (first, rest) = match words[..end].rfind(' ') {
            Some(space) if end < words.len() => (&words[..space], words[space..].trim_start()),
            _ => (words, ""),
        };
        let rows = [first, rest].into_iter().filter(|part| !part.is_empty());
        rows.map(|part| self.row("  ", part, Tone::Warning, "")).collect()
    }

    /// Row with the totals over all files.
    fn overall(self, totals: &Totals) -> Row {
        let Totals { count, ok, failed, under_way, received, rate } = totals;
        let mut text = format!("{} of {count} files", ok + failed);
        if *failed > 0 {
            text += &format!(", {failed} failed");
        }
        let waiting = count.saturating_sub(ok + failed + under_way);
        if waiting > 0 {
            text += &format!(", {waiting} waiting");
        }
        text += &format!("  {}", format_bytes(*received));
        if let Some(rate) = rate {
            text += &format!("  {}/s", format_bytes(*rate as u64));
        }
        self.row("", &text, Tone::Quiet, "")
    }
}

/// Number of connections, of the silent ones among them, and the reason for a limited rate, from the longest form to the
/// shortest.
fn counts(progress: &Progress) -> Vec<String> {
    let stalled = progress.connections.iter().filter(|connection| connection.stalled).count();
    let silent = if stalled > 0 { format!(", {stalled} silent") } else { String::new() };
    let least = format!(" {}x{silent}", progress.connections.len());
    let reasons = progress.slowed_by.as_ref().map(slowness::words).unwrap_or_default();
    let with_reason = |words: String| match &progress.slowed_by {
        Some(Slowness::Silent { .. }) if stalled > 0 => {
            Some(format!("{least}{}", words.strip_prefix("silent").unwrap_or(&words)))
        }
        // It delivers again.
        Some(Slowness::Silent { .. }) => None,
        _ => Some(format!("{least}, {words}")),
    };
    reasons.into_iter().filter_map(with_reason).chain([least.clone()]).collect()
}

/// Facts about a file, from the longest form to the shortest.
fn facts(progress: &Progress) -> Vec<String> {
    let percent =
        progress.size.map_or(String::new(), |size| format!("{:3}% ", percent(progress.written, size)));
    match progress.phase {
        Phase::Queued => return vec!["waiting".to_owned()],
        Phase::Starting => return vec!["asking".to_owned()],
        Phase::Paused => return vec![format!("{percent}paused")],
        Phase::Verifying => return vec![verifying(progress, &percent)],
        Phase::Transferring | Phase::Ended => {}
    }
    let written = format_bytes(progress.written);
    let rate = progress.rate.map_or(String::new(), |rate| format!("  {}/s", format_bytes(rate as u64)));
    let left = progress.eta.map_or(String::new(), |eta| format!("  {}", format_duration(eta)));
    let least = if percent.is_empty() { written.clone() } else { percent.trim_end().to_owned() };
    vec![format!("{percent}{written}{rate}{left}"), format!("{percent}{rate}{left}"), least + &left]
}

/// Progress of the check of a complete file.
fn verifying(progress: &Progress, written: &str) -> String {
    match (progress.verified, progress.size) {
        (Some(verified), Some(size)) => format!("verifying {}%", percent(verified, size)),
        _ => format!("{written}verifying"),
    }
}

/// Percentage, rounded down, so that 100 means everything.
fn percent(written: u64, size: u64) -> u64 {
    if size == 0 { 100 } else { (u128::from(written) * 100 / u128::from(size)) as u64 }
}

fn mark(progress: &Progress, size: u64, cell: usize, cells: usize, marks: &Marks) -> char {
    let edge = |cell: usize| (u128::from(size) * cell as u128 / cells as u128) as u64;
    let cell = ByteRange::new(edge(cell), edge(cell + 1));
    let written: u64 = progress.ranges.iter().map(|range| range.intersection(cell).len()).sum();
    match written {
        0 => marks.missing,
        written if written >= cell.len() => marks.written,
        _ => marks.partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectionView;
    use std::time::Duration;

    fn paper(width: usize, ascii: bool) -> Paper {
        Paper { width, ascii }
    }

    fn progress() -> Progress {
        Progress {
            phase: Phase::Transferring,
            size: Some(1 << 30),
            written: 1 << 29,
            rate: Some(35.0 * 1024.0 * 1024.0),
            eta: Some(Duration::from_secs(15)),
            ranges: vec![ByteRange::new(0, 1 << 28), ByteRange::new(1 << 29, (1 << 29) + (1 << 28))],
            connections: vec![
                ConnectionView { range: ByteRange::new(0, 1 << 29), position: 1 << 28, stalled: false },
                ConnectionView { range: ByteRange::new(1 << 29, 1 << 30), position: 3 << 28, stalled: true },
            ],
            ..Progress::default()
        }
    }

    #[test]
    fn a_wide_screen_shows_everything() {
        let line = paper(100, true).headline("disk.img", &progress()).seen();
        assert!(line.starts_with("disk.img [==========..........]  50% 512"), "{line}");
        assert!(line.contains("/s") && line.ends_with("0:15"), "{line}");
    }

    #[test]
    fn a_narrow_screen_shows_the_name_and_how_far_it_is() {
        let line = paper(40, true).headline("debian-12.iso", &progress()).seen();
        assert_eq!(line, "debian-12.iso  50%   35.0 MiB/s  0:15");
        assert_eq!(paper(25, true).headline("debian-12.iso", &progress()).seen(), "debian-12.iso  50%  0:15");
    }

    #[test]
    fn what_is_waited_for_takes_two_rows_at_the_most() {
        let rows = |words: &str, width| -> Vec<_> {
            paper(width, true).waiting(words).into_iter().map(|row| row.seen()).collect()
        };
        assert_eq!(rows("next try in 0:20", 40), ["  next try in 0:20"]);
        assert_eq!(rows("next try in 0:20", 12), ["  next try", "  in 0:20"]);
        assert_eq!(rows("next try in 0:20: it is busy", 12), ["  next try", "  in 0:20: ~"]);
        assert_eq!(rows("überlang", 6), ["  übe~"]);
    }

    #[test]
    fn all_files_together_are_counted() {
        let totals =
            Totals { count: 12, ok: 3, failed: 1, under_way: 4, received: 3 << 20, rate: Some(1024.0) };
        let said = paper(80, true).overall(&totals).seen();
        assert_eq!(said, "4 of 12 files, 1 failed, 4 waiting  3.0 MiB  1.0 KiB/s");
    }

    #[test]
    fn the_map_shows_what_is_there_and_who_is_where() {
        let map = paper(80, true).below(&progress()).unwrap().seen();
        let cells: String = map.chars().filter(|mark| "=.>#-".contains(*mark)).collect();
        assert!(cells.starts_with("=====") && cells.contains(">....") && cells.contains("#...."), "{map}");
        assert!(map.ends_with("2x, 1 silent"), "{map}");
    }

    #[test]
    fn everything_and_only_everything_is_a_hundred_percent() {
        assert_eq!(percent(u64::MAX - 1, u64::MAX), 99);
        assert_eq!(percent(5, 5), 100);
        assert_eq!(percent(0, 0), 100);
    }
}
