//! Profile files of the AWS tools (AWS SDKs and Tools Reference Guide, "Shared config and credentials files"): text in, values out.

use std::collections::BTreeMap;

/// Profiles of a file, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profiles(BTreeMap<String, BTreeMap<String, String>>);

/// Form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `~/.aws/config`: sections are `[default]` and `[profile NAME]`.
    Config,
    /// `~/.aws/credentials`: sections are `[NAME]`.
    Credentials,
}

impl Profiles {
    /// Reads what is well-formed and leaves out the rest, as the AWS tools do. A value with a section of its own, such as `s3 =` with
    /// indented lines below, is kept as `s3.name`.
    pub(crate) fn parse(text: &str, form: Form) -> Self {
        let mut profiles = Self::default();
        let (mut section, mut outer) = (None::<String>, None::<String>);
        for line in text.lines() {
            let indented = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                section = header.split(']').next().and_then(|name| profile_of(name.trim(), form));
                outer = None;
                if let Some(name) = &section {
                    profiles.0.entry(name.clone()).or_default();
                }
                continue;
            }
            let Some((name, value)) = line.split_once('=') else { continue };
            let (name, value) = (name.trim().to_ascii_lowercase(), without_comment(value.trim()));
            let Some(values) = section.as_ref().and_then(|section| profiles.0.get_mut(section)) else {
                continue;
            };
            match &outer {
                Some(outer) if indented => {
                    values.insert(format!("{outer}.{name}"), value.to_owned());
                }
                _ => {
                    outer = value.is_empty().then(|| name.clone());
                    values.insert(name, value.to_owned());
                }
            }
        }
        profiles
    }

    /// True if there is a profile of this name.
    pub(crate) fn has(&self, profile: &str) -> bool {
        self.0.contains_key(profile)
    }

    /// A value of a profile that is not empty.
    pub(crate) fn value(&self, profile: &str, name: &str) -> Option<&str> {
        self.0.get(profile)?.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Name of the profile of a section.
fn profile_of(section: &str, form: Form) -> Option<String> {
    let named = match (form, section.split_once([' ', '\t'])) {
        (_, None) if section == "default" => section,
        (Form::Credentials, _) => section,
        (Form::Config, Some(("profile", name))) => name.trim(),
        (Form::Config, _) => return None,
    };
    let name = named.trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// A comment begins after a blank.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
    value[..end.unwrap_or(value.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_profile() {
        let config = "\
# comment
stray = 1
[default]
region = eu-central-1 # here
s3 =
    addressing_style = path
    Max_Concurrent = 3
output=json

[profile build]
REGION=us-west-2
endpoint_url = http://localhost:9000/#x
[profile \"two words\"]
region = a
[sso-session x]
region = b
[ profile  spaced ]
region= c
nonsense
";
        let profiles = Profiles::parse(config, Form::Config);
        for (profile, name, value) in [
            ("default", "region", Some("eu-central-1")),
            ("default", "s3.addressing_style", Some("path")),
            ("default", "s3.max_concurrent", Some("3")),
            ("default", "s3", None),
            ("default", "output", Some("json")),
            ("build", "region", Some("us-west-2")),
            ("build", "endpoint_url", Some("http://localhost:9000/#x")),
            ("two words", "region", Some("a")),
            ("spaced", "region", Some("c")),
            ("x", "region", None),
            ("build", "output", None),
        ] {
            assert_eq!(profiles.value(profile, name), value, "{profile}.{name}");
        }
        assert!(profiles.has("build") && !profiles.has("x") && !profiles.has("profile build"));
    }

    #[test]
    fn credentials_have_their_profiles_without_a_word_before() {
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key = s+/=e\r\n[other]\naws_access_key_id=B\n";
        let profiles = Profiles::parse(text, Form::Credentials);
        assert_eq!(profiles.value("default", "aws_secret_access_key"), Some("s+/=e"));
        assert_eq!(profiles.value("other", "aws_access_key_id"), Some("B"));
    }
}
