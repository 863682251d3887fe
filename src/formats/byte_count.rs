//! Byte counts for display.

/// Formats a size in at most ten characters: `1023 B`, `1.4 GiB`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut shift = 10;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // Compares the rounded value, so that 1023.96 KiB becomes 1.0 MiB and not 1024.0 KiB.
    while rounded_tenths(bytes, shift) >= 10_240 {
        shift += 10;
        unit = units.next();
    }
    let tenths = rounded_tenths(bytes, shift);
    // A u64 is below 16 EiB, so the units never run out.
    let unit = unit.copied().unwrap_or_default();
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

fn rounded_tenths(bytes: u64, shift: u32) -> u128 {
    let half = 1 << (shift - 1);
    (u128::from(bytes) * 10 + half) >> shift
}
