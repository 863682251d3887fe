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
/// let request = haul::Request::new("https://example.org/disk.img")?.netrc(&netrc);
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Netrc {
    /// By names in lower case; several of one machine in the order of the file.
    machines: HashMap<String, Vec<Login>>,
}

#[derive(Clone, Debug, Default)]
struct Login {
    user: String,
    password: Option<String>,
}

impl Netrc {
    /// Reads the text of a netrc file. What makes no sense in it is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut words = Words(text.chars().peekable());
        let mut netrc = Self::default();
        // Without a name what follows is nobody's.
        let mut machine: Option<(String, Login)> = None;
        while let Some(word) = words.next() {
            match word.as_str() {
                "machine" => {
                    netrc.keep(machine.take());
                    machine = words.next().map(|name| (name.to_ascii_lowercase(), Login::default()));
                }
                "default" => netrc.keep(machine.take()),
                "macdef" => words.skip_macro(),
                "login" | "password" | "account" => {
                    let value = words.next().unwrap_or_default();
                    match (&mut machine, word.as_str()) {
                        (Some((_, login)), "login") => login.user = value,
                        (Some((_, login)), "password") => login.password = Some(value),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        netrc.keep(machine);
        netrc
    }

    fn keep(&mut self, machine: Option<(String, Login)>) {
        if let Some((name, login)) = machine {
            self.machines.entry(name).or_default().push(login);
        }
    }

    /// The user name and password for `host`: those of `user`, if one is wanted, and otherwise the first that there are.
    ///
    /// Only a `machine` of exactly this name counts. What follows `default` is for every host there is, and so for none.
    pub(crate) fn find(&self, host: &str, user: Option<&str>) -> Option<(&str, &str)> {
        let logins = self.machines.get(&host.to_ascii_lowercase())?;
        let mut meant = logins.iter().filter(|login| user.is_none_or(|user| user == login.user));
        meant.find_map(|login| Some((login.user.as_str(), login.password.as_deref()?)))
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netrc").finish_non_exhaustive()
    }
}

/// Words between blanks; one in quotation marks may hold some, and what follows a backslash there stands for itself.
struct Words<'a>(Peekable<Chars<'a>>);

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            while self.0.next_if(|c| c.is_whitespace()).is_some() {}
            match self.0.peek()? {
                '#' => self.skip_line(),
                '"' => return Some(self.quoted()),
                _ => break,
            }
        }
        let mut word = String::new();
        word.extend(std::iter::from_fn(|| self.0.next_if(|c| !c.is_whitespace())));
        Some(word)
    }
}

impl Words<'_> {
    fn quoted(&mut self) -> String {
        self.0.next();
        let mut word = String::new();
        while let Some(c) = self.0.next() {
            match c {
                '"' => break,
                '\\' => word.extend(self.0.next()),
                c => word.push(c),
            }
        }
        word
    }

    fn skip_line(&mut self) {
        while self.0.next_if(|c| *c != '\n').is_some() {}
    }

    /// A macro ends at the first empty line.
    fn skip_macro(&mut self) {
        self.skip_line();
        while self.0.next().is_some() && self.0.peek().is_some_and(|c| *c != '\n') {
            self.skip_line();
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
        let text = "machine a.org login me password one\nmachine b.org\n\tlogin you\n\taccount x\n\tpassword \"two \\\"2\\\"\"\n";
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
    fn macros_and_remarks_say_nothing() {
        let text = "# machine h login no password no\nmacdef init\nmachine h login no password no\nmore\n\nmachine h login me password one # not two\n";
        assert_eq!(found(text, "h", None), pair("me", "one"));
        assert_eq!(found("macdef x", "h", None), None);
        assert_eq!(found("machine", "h", None), None);
        assert_eq!(found("machine h password \"open", "h", None), pair("", "open"));
    }
}
