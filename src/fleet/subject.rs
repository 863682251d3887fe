//! Names in the queue: streams, subjects and buckets, and an origin as one token of a subject.

use crate::error::Error;
use crate::plan::Origin;

/// Longest name of a stream, in bytes.
const LONGEST_NAME: usize = 64;

/// Names that belong to one stream of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    stream: String,
}

impl Names {
    /// # Errors
    /// `Usage` for a name with other characters than letters, digits, `_` and `-`.
    pub(crate) fn new(stream: &str) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if stream.is_empty() || stream.len() > LONGEST_NAME || !stream.bytes().all(is_plain) {
            let cause = format!("{stream:?} is no name of a stream: up to 64 letters, digits, _ and -");
            return Err(Error::usage(cause));
        }
        Ok(Self { stream: stream.to_owned() })
    }

    /// The stream of the jobs.
    pub(crate) fn jobs(&self) -> &str {
        &self.stream
    }

    /// All subjects of jobs.
    pub(super) fn all_jobs(&self) -> String {
        format!("{}.job.*", self.stream)
    }

    /// Subject of the jobs of one origin.
    pub(super) fn job(&self, origin: &Origin) -> String {
        format!("{}.job.{}", self.stream, token(origin))
    }

    /// Durable consumer that all workers share.
    pub(super) const CONSUMER: &'static str = "workers";

    pub(super) fn results(&self) -> String {
        format!("{}-results", self.stream)
    }

    /// All subjects of results.
    pub(super) fn all_results(&self) -> String {
        format!("{}.result.*", self.stream)
    }

    /// Subject of the results of one event.
    pub(super) fn result(&self, event: &str) -> String {
        format!("{}.result.{event}", self.stream)
    }

    pub(super) fn dead(&self) -> String {
        format!("{}-dead", self.stream)
    }

    pub(super) fn dead_letter(&self) -> String {
        format!("{}.dead", self.stream)
    }

    /// Bucket of the slots of origins.
    pub(super) fn slots(&self) -> String {
        format!("{}-slots", self.stream)
    }

    /// Bucket of the heartbeats of workers.
    pub(super) fn workers(&self) -> String {
        format!("{}-workers", self.stream)
    }

    /// Bucket of the deliveries that were not the fault of their jobs.
    pub(super) fn excused(&self) -> String {
        format!("{}-excused", self.stream)
    }
}

/// The origin as a token of a subject and of a key: `https-example_org-443`. Dots become `_`, all else but letters, digits and `-` become
/// `=XX`, so that two origins never have one token.
pub(super) fn token(origin: &Origin) -> String {
    let scheme = if origin.https { "https" } else { "http" };
    let mut token = format!("{scheme}-");
    for byte in origin.host.bytes() {
        match byte {
            b'.' => token.push('_'),
            b'-' => token.push('-'),
            _ if byte.is_ascii_alphanumeric() => token.push(char::from(byte)),
            _ => token.push_str(&format!("={byte:02X}")),
        }
    }
    format!("{token}-{}", origin.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(https: bool, host: &str, port: u16) -> Origin {
        Origin { https, host: host.to_owned(), port }
    }

    #[test]
    fn an_origin_is_one_token_that_a_person_can_read() {
        for (https, host, port, wanted) in [
            (true, "example.org", 443, "https-example_org-443"),
            (false, "a-b.example", 8080, "http-a-b_example-8080"),
            (false, "[::1]", 80, "http-=5B=3A=3A1=5D-80"),
            (false, "a_b", 80, "http-a=5Fb-80"),
        ] {
            assert_eq!(token(&origin(https, host, port)), wanted);
        }
    }

    #[test]
    fn the_names_of_a_stream_are_its_own() {
        let names = Names::new("haul").unwrap();
        assert_eq!(names.job(&origin(true, "h.x", 443)), "haul.job.https-h_x-443");
        assert_eq!(names.result("done"), "haul.result.done");
        for wrong in ["", "a.b", "a b", "*", ">", "ä", &"x".repeat(65)] {
            assert!(Names::new(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn two_origins_have_two_safe_tokens(
            a in "[a-z0-9._:\\[\\]-]{1,12}", b in "[a-z0-9._:\\[\\]-]{1,12}", ports in any::<(u16, u16)>(),
        ) {
            let (one, other) = (origin(true, &a, ports.0), origin(true, &b, ports.1));
            let tokens = (token(&one), token(&other));
            prop_assert_eq!(one == other, tokens.0 == tokens.1);
            let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
            prop_assert!(tokens.0.bytes().all(is_safe), "{}", tokens.0);
        }
    }
}
