//! netrc files: user names and passwords of hosts, as ftp, curl and git read them.

use std::collections::HashMap;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// User names and passwords of hosts, from a netrc file.
///
/// ```
/// # fn main() -> Result<(), haul::Error> {
/// let netrc = haul::Netrc::parse("machine example.org login me password secret");
/// let request = haul::Request::new("https://example.org/disk.img")?.netrc(netrc);
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Netrc {
    /// Logins by machine name in lower case; several of one machine in file order.
    machines: HashMap<String, Vec<Login>>,
}

#[derive(Clone, Default)]
struct Login {
    user: String,
    password: Option<String>,
    /// True if a keyword in it has no value, so that its meaning is uncertain.
    torn: bool,
}

impl Netrc {
    /// Parses the text of a netrc file. Unknown words are skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut words = Words(text.chars().peekable());
        let mut netrc = Self::default();
        // `None` until a machine is named, and after `default`: logins there are dropped.
        let mut machine: Option<(String, Login)> = None;
        while let Some(keyword) = words.keyword() {
            match keyword.to_ascii_lowercase().as_str() {
                "machine" => {
                    netrc.keep(machine.take());
                    machine = words.value().map(|name| (name.to_ascii_lowercase(), Login::default()));
                }
                "default" => netrc.keep(machine.take()),
                "macdef" => words.skip_macro(),
                word @ ("login" | "password" | "account") => {
                    let value = words.value();
                    if let Some((_, login)) = &mut machine {
                        login.set(word, value);
                    }
                }
                _ => {}
            }
        }
        netrc.keep(machine);
        netrc
    }

    fn keep(&mut self, machine: Option<(String, Login)>) {
        if let Some((name, login)) = machine.filter(|(_, login)| !login.torn) {
            self.machines.entry(name).or_default().push(login);
        }
    }

    /// Returns the user name and password for `host`: those of `user`, if given, and otherwise the first ones.
    ///
    /// Only a `machine` of exactly this name counts. A `default` entry is for every host, so it is used for none.
    pub(crate) fn find(&self, host: &str, user: Option<&str>) -> Option<(&str, &str)> {
        let logins = self.machines.get(&host.to_ascii_lowercase())?;
        let mut meant = logins.iter().filter(|login| user.is_none_or(|user| user == login.user));
        meant.find_map(|login| Some((login.user.as_str(), login.password.as_deref()?)))
    }
}

impl Login {
    fn set(&mut self, word: &str, value: Option<String>) {
        match (word, value) {
            (_, None) => self.torn = true,
            ("login", Some(value)) => self.user = value,
            ("password", Some(value)) => self.password = Some(value),
            (_, Some(_)) => {}
        }
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netrc").finish_non_exhaustive()
    }
}

/// Words separated by blanks.
#[derive(Clone)]
struct Words<'a>(Peekable<Chars<'a>>);

impl Words<'_> {
    /// Takes the next word in the position of a keyword, skipping comments.
    fn keyword(&mut self) -> Option<String> {
        loop {
            self.skip_blanks();
            match self.0.peek()? {
                '#' => {
                    self.skip_line();
                }
                _ => return Some(self.word()),
            }
        }
    }

    /// Takes the value of the preceding keyword; `None` if it is missing and the next keyword follows on a new line.
    fn value(&mut self) -> Option<String> {
        let before = self.clone();
        let new_line = self.skip_blanks();
        let quoted = *self.0.peek()? == '"';
        let word = self.word();
        let is_keyword = ["machine", "default", "login", "password", "account", "macdef"]
            .iter()
            .any(|keyword| word.eq_ignore_ascii_case(keyword));
        if new_line && is_keyword && !quoted {
            *self = before;
            return None;
        }
        Some(word)
    }

    /// Takes a word; in quotation marks it may hold blanks, and a backslash escapes the next character.
    fn word(&mut self) -> String {
        let mut word = String::new();
        if self.0.next_if_eq(&'"').is_none() {
            word.extend(std::iter::from_fn(|| self.0.next_if(|c| !c.is_whitespace())));
            return word;
        }
        while let Some(c) = self.0.next().filter(|c| *c != '"') {
            let escaped = if c == '\\' { self.0.next() } else { None };
            word.push(match escaped {
                None => c,
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
            });
        }
        word
    }

    /// Skips blanks; returns true if a line ended in them.
    fn skip_blanks(&mut self) -> bool {
        let mut new_line = false;
        while let Some(c) = self.0.next_if(|c| c.is_whitespace()) {
            new_line |= c == '\n';
        }
        new_line
    }

    /// Skips to the end of the line; returns true if there was anything but blanks.
    fn skip_line(&mut self) -> bool {
        let mut any = false;
        while let Some(c) = self.0.next_if(|c| *c != '\n') {
            any |= !c.is_whitespace();
        }
        any
    }

    /// Skips a macro, which ends at the first empty line.
    fn skip_macro(&mut self) {
        while self.skip_line() {
            self.0.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, user: Option<&str>) -> Option<(String, String)> {
        let netrc = Netrc::parse(text);
        assert_eq!(format!("{netrc:?}"), "Netrc { .. }");
        netrc.find(host, user).map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn a_host_has_the_password_of_its_own_machine() {
        let text = "machine a.org login me password one\nMACHINE b.org\n\tlogin you\n\taccount x\n\tpassword \"two \\\"2\\\"\"\n";
        assert_eq!(found(text, "a.org", None), pair("me", "one"));
        assert_eq!(found(text, "B.org", None), pair("you", "two \"2\""));
        for other in ["org", "x.a.org", "a.org.example", ""] {
            assert_eq!(found(text, other, None), None, "{other}");
        }
    }

    #[test]
    fn a_user_gets_no_password_but_his_own() {
        let text = "machine h login me password one machine h login you password two";
        assert_eq!(found(text, "h", None), pair("me", "one"));
        assert_eq!(found(text, "h", Some("you")), pair("you", "two"));
        assert_eq!(found(text, "h", Some("she")), None);
        assert_eq!(found("machine h login me", "h", None), None);
    }

    #[test]
    fn what_is_for_every_host_is_for_none() {
        assert_eq!(found("machine h login me\ndefault login all password all", "h", None), None);
        assert_eq!(found("default login all password all", "h", None), None);
        assert_eq!(found("default login all password all", "", None), None);
    }

    #[test]
    fn a_password_may_look_like_a_remark_and_one_that_is_missing_is_not_the_next_machines() {
        let text = "machine a login me password #abc\nmachine b login you password two\n";
        assert_eq!(found(text, "a", None), pair("me", "#abc"));
        assert_eq!(found(text, "b", None), pair("you", "two"));
        let torn = "machine a login me password\nmachine b login you password two\n";
        assert_eq!(found(torn, "a", None), None);
        assert_eq!(found(torn, "b", None), pair("you", "two"));
        assert_eq!(found("machine a login\npassword machine", "a", None), None);
        assert_eq!(found("machine a login me password machine", "a", None), pair("me", "machine"));
    }

    #[test]
    fn macros_and_remarks_say_nothing() {
        for end in ["\n", "\r\n"] {
            let text = "# machine h login no password no\nmacdef init\nmachine h login no password no\nmore\n\nmachine h login me password one # not two\n";
            assert_eq!(found(&text.replace('\n', end), "h", None), pair("me", "one"));
        }
        assert_eq!(found("macdef x", "h", None), None);
        assert_eq!(found("machine", "h", None), None);
        assert_eq!(found("machine h password \"open", "h", None), pair("", "open"));
    }
}
