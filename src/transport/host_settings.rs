//! Settings for some hosts only.

use super::{Proxy, PublicKeyPin};

/// Settings for the hosts of a pattern.
///
/// ```
/// let mut own = haul::HostSettings::new("*.corp.example");
/// own.insecure = true;
/// assert!(own.applies_to("files.corp.example") && !own.applies_to("corp.example.org"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostSettings {
    /// A host, or `*.` and a domain for all hosts below it.
    pub pattern: String,
    /// Accept any certificate of these hosts: they are not authenticated then, unless they have pins.
    pub insecure: bool,
    /// Keys that these hosts may show, in place of [those of all](crate::ClientSettings::pins). Default none of their own.
    pub pins: Vec<PublicKeyPin>,
    /// Proxy for these hosts. Default that of all.
    pub proxy: Option<Proxy>,
    /// User agent that these hosts are told, also as the targets of redirects, unless the request has one of its own. Default that of all.
    pub user_agent: Option<String>,
}

impl HostSettings {
    /// Settings without an effect yet.
    #[must_use]
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), insecure: false, pins: Vec::new(), proxy: None, user_agent: None }
    }

    /// Returns true if the host is one of the pattern, in any case.
    #[must_use]
    pub fn applies_to(&self, host: &str) -> bool {
        matches(&self.pattern, host)
    }
}

/// Returns true if the host is one of the pattern, in any case.
fn matches(pattern: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        // Hosts below the domain, and not the domain itself.
        Some(domain) => {
            host.strip_suffix(domain).is_some_and(|above| above.len() > 1 && above.ends_with('.'))
        }
        None => host == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_host_or_what_lies_below_a_domain() {
        for (pattern, host, applies) in [
            ("h.example", "H.example", true),
            ("h.example", "x.h.example", false),
            ("*.example", "a.b.Example.", true),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("*.example", "notexample", false),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            assert_eq!(matches(pattern, host), applies, "{pattern} {host}");
        }
    }
}
