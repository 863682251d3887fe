//! Sentences that several styles share.

use super::Summary;
use crate::cli::signatures;
use crate::formats::escape;
use crate::formats::size::{format_bytes, format_duration};
use crate::{Event, PieceProof, Proof, ProvedBy, Report};
use std::path::Path;

/// Describes a file when its download begins.
pub(super) fn started(name: &str, event: &Event) -> Option<String> {
    let Event::Started { url, path, size, resumed, connections } = event else {
        return None;
    };
    let shown = shown(name, path.as_deref());
    let size = size.map_or("unknown size".to_owned(), format_bytes);
    let kept =
        if *resumed > 0 { format!(", resuming: {} kept", format_bytes(*resumed)) } else { String::new() };
    let url = escape::shown(url);
    let plural = if *connections == 1 { "" } else { "s" };
    Some(format!("{shown}: {size} from {url}, up to {connections} connection{plural}{kept}"))
}

/// Describes a file that was saved.
pub(super) fn done(name: &str, report: &Report) -> String {
    let shown = shown(name, report.path.as_deref());
    let verified = verified(report);
    if report.already_there {
        return format!("{shown}: {}, was there already{verified}", format_bytes(report.size));
    }
    if report.fetched == 0 && report.size > 0 {
        return format!("{shown}: {} saved, nothing had to be fetched{verified}", format_bytes(report.size));
    }
    let seconds = report.elapsed.as_secs_f64().max(1e-3);
    let mut text = format!(
        "{shown}: {} in {} ({}/s)",
        format_bytes(report.size),
        format_duration(report.elapsed),
        format_bytes((report.fetched as f64 / seconds) as u64),
    );
    text += &verified;
    if report.connections > 0 {
        text += &counted(report.connections as u64, "connection", "connections");
    }
    if report.retries > 0 {
        text += &counted(u64::from(report.retries), "retry", "retries");
    }
    if report.resumed > 0 {
        text += &format!(", {} were there already", format_bytes(report.resumed));
    }
    text
}

/// Proofs of the file and their publishers.
fn verified(report: &Report) -> String {
    if let Some(proof) = &report.pieces {
        return by_pieces(proof);
    }
    if report.proofs.is_empty() {
        return if report.already_there { String::new() } else { ", no published digest".to_owned() };
    }
    let one = |proof: &Proof| {
        let algorithm = proof.digest.algorithm();
        let weak = if proof.is_weak { " (weak)" } else { "" };
        match &proof.by {
            ProvedBy::Server(field) => format!(", verified by {algorithm} from {field}{weak}"),
            ProvedBy::Document { name, .. } => {
                format!(", verified by {algorithm} from {}{weak}", escape::shown(name))
            }
            ProvedBy::SignedDocument { document, signer } => format!(
                ", verified by {algorithm} from {}, signed by {}{weak}",
                escape::shown(document),
                signatures::described(signer)
            ),
            ProvedBy::Signature { signer, .. } => format!(", verified by {}", signatures::described(signer)),
            _ => format!(", {algorithm} verified"),
        }
    };
    report.proofs.iter().map(one).collect()
}

fn by_pieces(proof: &PieceProof) -> String {
    let PieceProof { count, by, is_weak, .. } = proof;
    let plural = if *count == 1 { "" } else { "s" };
    let of = match by {
        ProvedBy::Document { name, .. } => format!(" of {}", escape::shown(name)),
        _ => String::new(),
    };
    format!(", verified by {count} piece{plural}{of}{}", if *is_weak { " (weak)" } else { "" })
}

/// Totals of the run; `None` if it had only one file.
pub(super) fn summary(summary: &Summary) -> Option<String> {
    let Summary { ok, already_there, failed, causes, not_started, fetched, elapsed, .. } = summary;
    if ok + failed + not_started <= 1 {
        return None;
    }
    let (fetched, elapsed) = (format_bytes(*fetched), format_duration(*elapsed));
    let not_started = match not_started {
        0 => String::new(),
        number => format!(", {number} not started"),
    };
    let saved = ok.saturating_sub(*already_there);
    let files = if saved == 1 { "file" } else { "files" };
    let there = match already_there {
        0 => String::new(),
        number => format!(", {number} there already"),
    };
    let causes: Vec<_> =
        causes.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
    let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    Some(format!(
        "{saved} {files} saved{there}, {failed} failed{causes}{not_started}: {fetched} in {elapsed}"
    ))
}

/// Name of a file in messages: its path or, for a stream, its name.
fn shown(name: &str, path: Option<&Path>) -> String {
    path.map_or(name.into(), |path| escape::for_terminal(&path.to_string_lossy()).into_owned())
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!(", {count} {}", if count == 1 { one } else { many })
}
