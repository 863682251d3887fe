//! One number that haul promises, and the result of its measurement.

/// Good side of the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    AtMost,
    AtLeast,
}

/// A measured number and its bound.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) side: Side,
    pub(crate) bound: f64,
    pub(crate) unit: &'static str,
}

impl Check {
    pub(crate) fn at_most(what: impl Into<String>, measured: f64, bound: f64, unit: &'static str) -> Self {
        Self { what: what.into(), measured, side: Side::AtMost, bound, unit }
    }

    pub(crate) fn at_least(what: impl Into<String>, measured: f64, bound: f64, unit: &'static str) -> Self {
        Self { side: Side::AtLeast, ..Self::at_most(what, measured, bound, unit) }
    }

    pub(crate) fn holds(&self) -> bool {
        match self.side {
            Side::AtMost => self.measured <= self.bound,
            Side::AtLeast => self.measured >= self.bound,
        }
    }

    /// Formats a line of the Markdown table.
    pub(crate) fn line(&self) -> String {
        let sign = match self.side {
            Side::AtMost => '≤',
            Side::AtLeast => '≥',
        };
        let verdict = if self.holds() { "holds" } else { "**MISSED**" };
        let (what, unit) = (&self.what, self.unit);
        let (measured, bound) = (figure(self.measured), figure(self.bound));
        format!("| {what} | {measured}{unit} | {sign} {bound}{unit} | {verdict} |")
    }
}

/// Formats a number with one decimal, or with two below 10.
fn figure(number: f64) -> String {
    if number.abs() >= 10.0 { format!("{number:.1}") } else { format!("{number:.2}") }
}
