//! `/metrics`: figures of the queue in the text format of Prometheus.

use crate::Totals;
use std::fmt::Write as _;

pub(super) fn text(totals: &Totals, done: u64, failed: u64, fetched: u64) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    family(
        "haul_jobs",
        "gauge",
        "Jobs by state.",
        &[
            ("{state=\"running\"}", totals.running as f64),
            ("{state=\"waiting\"}", totals.waiting as f64),
            ("{state=\"paused\"}", totals.paused as f64),
            ("{state=\"ended\"}", totals.ended as f64),
        ],
    );
    family("haul_download_bytes_per_second", "gauge", "Rate of all running jobs.", &[("", totals.rate)]);
    family(
        "haul_jobs_ended_total",
        "counter",
        "Jobs that ended since the start.",
        &[("{outcome=\"done\"}", done as f64), ("{outcome=\"failed\"}", failed as f64)],
    );
    family(
        "haul_fetched_bytes_total",
        "counter",
        "Payload of completed jobs since the start.",
        &[("", fetched as f64)],
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_help_and_type() {
        let text = text(&Totals::default(), 3, 1, 1 << 30);
        assert_eq!(text.matches("# TYPE").count(), 4);
        assert!(text.contains("haul_jobs_ended_total{outcome=\"done\"} 3\n"));
        assert!(text.contains("haul_fetched_bytes_total 1073741824\n"));
    }
}
