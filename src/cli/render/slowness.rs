//! Reasons for a limited rate in words, from the longest to the shortest. Pure.

use crate::Slowness;
use crate::formats::escape;
use crate::formats::size::{format_bytes, format_duration};
use std::time::Duration;

/// Says why it is not faster: the first form says most, the last least. Those of silence follow the number of silent connections.
pub(super) fn words(slowness: &Slowness) -> Vec<String> {
    let all = |words: &[&str]| words.iter().map(|&words| words.to_owned()).collect();
    match slowness {
        Slowness::Limit { rate } => {
            vec![
                format!("kept to {}/s by the limit", format_bytes(*rate)),
                "kept to the limit".into(),
                "limit".into(),
            ]
        }
        Slowness::Yielding => all(&["yielding to other traffic", "yielding"]),
        Slowness::Reader => all(&["the reader of the output is slow", "slow reader", "reader"]),
        Slowness::Disk => all(&["the disk is slow", "disk"]),
        Slowness::Hash { behind } => {
            vec![format!("the hash is {} behind", format_bytes(*behind)), "hash".into()]
        }
        Slowness::Server { host, status, wait } => refused(&escape::for_terminal(host), *status, *wait),
        Slowness::Silent { host, quiet } => {
            let quiet = format_duration(*quiet);
            vec![
                format!("silent for {quiet} ({})", escape::for_terminal(host)),
                format!("silent for {quiet}"),
            ]
        }
    }
}

fn refused(host: &str, status: Option<u16>, wait: Option<Duration>) -> Vec<String> {
    let number = status.map_or(String::new(), |status| format!(" ({status})"));
    let least = status.map_or("refused".to_owned(), |status| status.to_string());
    match wait {
        Some(wait) => {
            let wait = format_duration(wait);
            vec![
                format!("{host} asks to wait {wait}{number}"),
                format!("asked to wait {wait}{number}"),
                format!("asked to wait {wait}"),
                least,
            ]
        }
        None => vec![
            format!("{host} takes no more connections{number}"),
            format!("no more connections{number}"),
            least,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_words_that_become_fewer() {
        let (host, second) = (|| "files.example.org".to_owned(), Duration::from_secs);
        let reasons = [
            (Slowness::Limit { rate: 512 << 10 }, "kept to 512.0 KiB/s by the limit", "limit"),
            (Slowness::Yielding, "yielding to other traffic", "yielding"),
            (Slowness::Reader, "the reader of the output is slow", "reader"),
            (Slowness::Disk, "the disk is slow", "disk"),
            (Slowness::Hash { behind: 3 << 29 }, "the hash is 1.5 GiB behind", "hash"),
            (
                Slowness::Server { host: host(), status: Some(429), wait: Some(second(30)) },
                "files.example.org asks to wait 0:30 (429)",
                "429",
            ),
            (
                Slowness::Server { host: host(), status: Some(503), wait: None },
                "files.example.org takes no more connections (503)",
                "503",
            ),
            (
                Slowness::Server { host: host(), status: None, wait: None },
                "files.example.org takes no more connections",
                "refused",
            ),
            (
                Slowness::Silent { host: host(), quiet: second(75) },
                "silent for 1:15 (files.example.org)",
                "silent for 1:15",
            ),
        ];
        for (reason, longest, shortest) in reasons {
            let words = words(&reason);
            assert_eq!(
                (words.first().unwrap().as_str(), words.last().unwrap().as_str()),
                (longest, shortest)
            );
            assert!(words.windows(2).all(|two| two[1].len() < two[0].len()), "{words:?}");
        }
    }
}
