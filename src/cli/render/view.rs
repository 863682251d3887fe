//! What a file looks like at a glance, as text of a given width. Pure.

use crate::formats::escape::clip;
use crate::formats::size::{format_bytes, format_duration};
use crate::{ByteRange, Phase, Progress, Slowness};

/// Marks of the map, from nothing to everything, and of connections.
struct Marks {
    missing: char,
    partly: char,
    written: char,
    active: char,
    stalled: char,
}

const ASCII: Marks = Marks { missing: '.', partly: '-', written: '=', active: '>', stalled: '#' };
const UNICODE: Marks = Marks { missing: '·', partly: '▒', written: '█', active: '▶', stalled: '#' };

/// The line with name, bar, percent, bytes, rate and what is left.
pub(super) fn headline(name: &str, progress: &Progress, width: usize, ascii: bool) -> String {
    let facts = facts(progress);
    let room = width.saturating_sub(facts.chars().count() + 1);
    let bar_width = if room >= 40 { 20.min(room / 3) } else { 0 };
    let name_width = room.saturating_sub(if bar_width > 0 { bar_width + 3 } else { 0 }).clamp(1, 40);
    let mut name = clip(name, name_width).into_owned();
    if ascii {
        name = name.replace('…', "~");
    }
    let bar = match progress.size {
        Some(size) if bar_width > 0 => format!(" [{}]", bar(progress.written, size, bar_width, ascii)),
        _ => String::new(),
    };
    let line = format!("{name}{bar} {facts}");
    line.chars().take(width).collect()
}

fn facts(progress: &Progress) -> String {
    let percent =
        progress.size.map_or(String::new(), |size| format!("{:3}% ", percent(progress.written, size)));
    match progress.phase {
        Phase::Queued => return "waiting".to_owned(),
        Phase::Starting => return "asking".to_owned(),
        Phase::Verifying => return format!("{percent}verifying"),
        Phase::Transferring | Phase::Ended => {}
    }
    let mut text = percent + &format_bytes(progress.written);
    if let Some(rate) = progress.rate {
        text += &format!("  {}/s", format_bytes(rate as u64));
    }
    if let Some(eta) = progress.eta {
        text += &format!("  {}", format_duration(eta));
    }
    text
}

/// Rounded down, so that 100 means everything.
fn percent(written: u64, size: u64) -> u64 {
    if size == 0 { 100 } else { (u128::from(written) * 100 / u128::from(size)) as u64 }
}

fn bar(written: u64, size: u64, width: usize, ascii: bool) -> String {
    let marks = if ascii { &ASCII } else { &UNICODE };
    let filled = (u128::from(written) * width as u128 / u128::from(size.max(1))) as usize;
    (0..width).map(|at| if at < filled { marks.written } else { marks.missing }).collect()
}

/// The line that shows where in the file each connection is, and why it is not faster.
pub(super) fn map(progress: &Progress, width: usize, ascii: bool) -> Option<String> {
    let size = progress.size.filter(|size| *size > 0)?;
    if progress.phase != Phase::Transferring {
        return None;
    }
    let reason = match progress.slowed_by {
        Some(Slowness::Server) => " the server asks for less",
        Some(Slowness::Limit) => " kept to the limit",
        Some(Slowness::Hash) => " the digest is the limit",
        None => "",
    };
    let count = format!(" {}x{reason}", progress.connections.len());
    let cells = width.saturating_sub(count.chars().count() + 4).clamp(8, 72);
    let marks = if ascii { &ASCII } else { &UNICODE };
    let mut map: Vec<char> = (0..cells).map(|cell| mark(progress, size, cell, cells, marks)).collect();
    for connection in &progress.connections {
        let at = (u128::from(connection.position) * cells as u128 / u128::from(size)) as usize;
        map[at.min(cells - 1)] = if connection.stalled { marks.stalled } else { marks.active };
    }
    let text = format!("  [{}]{count}", map.iter().collect::<String>());
    Some(text.chars().take(width).collect())
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
        let line = headline("disk.img", &progress(), 100, true);
        assert!(line.starts_with("disk.img [==========..........]  50% 512"), "{line}");
        assert!(line.contains("/s") && line.ends_with("0:15"), "{line}");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for width in [1, 10, 40, 80, 200] {
            for ascii in [true, false] {
                let name = "a-rather-long-name-of-a-file-that-does-not-fit.tar.gz";
                assert!(headline(name, &progress(), width, ascii).chars().count() <= width);
                assert!(map(&progress(), width, ascii).is_none_or(|map| map.chars().count() <= width));
            }
        }
    }

    #[test]
    fn the_map_shows_what_is_there_and_who_is_where() {
        let map = map(&progress(), 80, true).unwrap();
        let cells: String = map.chars().filter(|mark| "=.>#-".contains(*mark)).collect();
        assert!(cells.starts_with("=====") && cells.contains(">....") && cells.contains("#...."), "{map}");
    }

    #[test]
    fn everything_and_only_everything_is_a_hundred_percent() {
        assert_eq!(percent(u64::MAX - 1, u64::MAX), 99);
        assert_eq!(percent(5, 5), 100);
        assert_eq!(percent(0, 0), 100);
    }
}
