//! The command that resumes, as a shell takes it.

use std::ffi::OsString;

/// Flags whose values may be secrets.
const SECRET_FLAGS: [&str; 6] = ["-u", "--user", "-H", "--header", "--proxy", "--refresh-cmd"];

/// The command line as it was typed, quoted; `None` where it holds what should not be shown.
pub(super) fn command(args: &[OsString]) -> Option<String> {
    let words: Option<Vec<_>> = args.iter().skip(1).map(|arg| arg.to_str()).collect();
    let words = words?;
    let secret = |word: &&str| {
        SECRET_FLAGS.iter().any(|flag| word.starts_with(flag))
            || [Some(*word), word.split_once('=').map(|(_, value)| value)]
                .into_iter()
                .flatten()
                .any(is_secret_url)
    };
    if words.iter().any(secret) {
        return None;
    }
    Some(words.iter().fold("haul".to_owned(), |line, word| format!("{line} {}", quoted(word))))
}

fn is_secret_url(word: &str) -> bool {
    let request = crate::Request::new(word);
    request.is_ok_and(|request| request.credentials.is_some() || request.address.has_secret())
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let escaped = crate::formats::escape::for_terminal(word);
    format!("'{}'", escaped.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> Option<String> {
        let args: Vec<OsString> = words.iter().map(OsString::from).collect();
        command(&args)
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let line = shown(&["/usr/bin/haul", "http://h/a?b=c&d", "-o", "it's"]);
        assert_eq!(line.as_deref(), Some("haul 'http://h/a?b=c&d' -o 'it'\\''s'"));
    }

    #[test]
    fn a_command_with_a_secret_is_not_shown() {
        assert_eq!(shown(&["haul", "http://u:p@h/a"]), None);
        assert_eq!(shown(&["haul", "http://h/a", "-u", "me:pw"]), None);
        assert_eq!(shown(&["haul", "http://h/a?token=x"]), None);
        assert_eq!(shown(&["haul", "--metalink=http://u:p@h/a"]), None);
    }
}
