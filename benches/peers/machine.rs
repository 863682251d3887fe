//! The machine on which the figures were measured.

use std::fs;
use std::time::SystemTime;

/// Date, kernel and processor, one a line.
pub(crate) fn describe() -> Vec<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    vec![
        format!("date: {}", httpdate::fmt_http_date(SystemTime::now())),
        format!("kernel: Linux {}", kernel.trim()),
        format!("processor: {}, {cores} cores", processor()),
    ]
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |line| line.trim_start_matches(['\t', ' ', ':']).to_owned(),
    )
}
