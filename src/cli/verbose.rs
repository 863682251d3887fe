//! Messages of `-v` and `-vv` about connections.

use super::output;
use crate::formats::escape;
use crate::{Step, Trace};

/// Prints each step as it happens: connections and redirects; from a verbosity of 2 also request and response heads.
pub(super) fn trace(verbosity: u8) -> Option<Trace> {
    (verbosity > 0).then(|| {
        Trace::new(move |step| {
            lines(&step, verbosity).iter().for_each(|line| output::say(escape::shown(line)));
        })
    })
}

/// Formats a step as lines with the prefixes of curl.
fn lines(step: &Step, verbosity: u8) -> Vec<String> {
    let heads = |mark: char, head: &[String]| head.iter().map(|line| format!("{mark} {line}")).collect();
    match step {
        Step::Connected { origin, address, proxy: None, protocol } => {
            vec![format!("* connected to {origin} at {address}: {protocol}")]
        }
        Step::Connected { origin, address, proxy: Some(proxy), protocol } => {
            vec![format!("* connected to {origin} through the proxy {proxy} at {address}: {protocol}")]
        }
        Step::Redirected { status, from, to } => vec![format!("* redirected ({status}) from {from} to {to}")],
        Step::Request(head) if verbosity > 1 => heads('>', head),
        Step::Response(head) if verbosity > 1 => heads('<', head),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_said_only_to_those_who_ask_twice() {
        let redirected = Step::Redirected { status: 302, from: "http://a/".into(), to: "http://b/".into() };
        assert_eq!(lines(&redirected, 1), ["* redirected (302) from http://a/ to http://b/"]);
        let request = Step::Request(vec!["GET / HTTP/1.1".into(), "host: a".into()]);
        assert!(lines(&request, 1).is_empty());
        assert_eq!(lines(&request, 2), ["> GET / HTTP/1.1", "> host: a"]);
    }
}
