//! The manual: a page for the program and one for each command, generated from the same arguments as `--help`.

use super::args;
use super::examples::examples;
use super::exit;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, line_break, roman};
use std::io;

/// Environment of commands that send requests, besides the variables of flags.
const OF_REQUESTS: &[(&str, &str)] = &[
    (
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The proxies, and the hosts that are reached without one, where --proxy and --noproxy do not say it. They may be in small \
         letters, which count first.",
    ),
    ("XDG_CONFIG_HOME, HOME", "Where the configuration is, and .netrc."),
    ("XDG_STATE_HOME", "Where the memory of hosts is."),
    ("HAUL_URL", "Set for the command of --refresh-cmd: the URL of yours that was refused."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "The certificates to trust in the place of the system's."),
    ("LC_ALL, LC_CTYPE, LANG", "Bars have marks beyond ASCII if this says UTF-8."),
];

/// Environment of every command.
const OF_ALL: &[(&str, &str)] = &[
    ("NO_COLOR", "If it is set and not empty, no colours, unless --color says so."),
    ("TERM", "dumb: neither bars nor colours."),
];

const FILES: &[(&str, &str)] = &[
    ("NAME.part", "What has come of an unfinished NAME. It becomes NAME when it is complete and verified."),
    (
        "NAME.haul",
        "The manifest beside it: which bytes are safely on disk, and of which version. NAME.haul.tmp is a new one that is being written.",
    ),
    (
        "$XDG_CONFIG_HOME/haul/config.toml",
        "Defaults, written as connections = 4: the long flags without the dashes. Without the variable, ~/.config/haul/config.toml. \
         Flags win over the environment, the environment over this file.",
    ),
    (
        "$XDG_STATE_HOME/haul/hosts",
        "Facts about hosts that later runs begin with, for seven days and on one network: connections that paid, refusals, HEAD, \
         the address family. Host names are in it as keyed hashes. Without the variable, ~/.local/state/haul/hosts. It may be \
         removed at any time; --no-memory does without it.",
    ),
    ("~/.netrc", "Passwords, read only with --netrc or if the configuration says netrc = true."),
];

/// All pages: of the program, and of each command.
pub(super) fn pages() -> Vec<Page> {
    let mut program = args::command().disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let commands: Vec<_> = commands.map(|command| Page { command: command.clone(), of: None }).collect();
    let names = commands.iter().map(|page| page.command.get_name().to_owned()).collect();
    std::iter::once(Page { command: program, of: Some(names) }).chain(commands).collect()
}

/// One manual page.
pub(super) struct Page {
    command: Command,
    /// Names of the commands, on the page of the program.
    of: Option<Vec<String>>,
}

impl Page {
    /// `haul` or the name of a command.
    pub(super) fn name(&self) -> &str {
        self.command.get_name()
    }

    /// File name under which man(1) looks for it.
    pub(super) fn file_name(&self) -> String {
        let name = self.command.get_display_name().unwrap_or(self.name());
        format!("{name}.1")
    }

    pub(super) fn render(&self) -> io::Result<Vec<u8>> {
        let man = Man::new(self.command.clone()).manual("haul");
        let mut page = Vec::new();
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if self.of.is_some() {
            man.render_subcommands_section(&mut page)?;
        }
        let mut rest = Roff::new();
        if !examples(self.name()).is_empty() {
            rest.control("SH", ["EXAMPLES"]);
            for (line, does) in examples(self.name()) {
                tagged(&mut rest, bold(*line), does);
            }
        }
        self.environment(&mut rest);
        rest.control("SH", ["FILES"]);
        FILES.iter().for_each(|(name, text)| tagged(&mut rest, italic(*name), text));
        rest.control("SH", ["EXIT STATUS"]);
        for (code, text) in exit::rows() {
            tagged(&mut rest, bold(code), text);
        }
        rest.control("SH", ["SEE ALSO"]);
        rest.text(self.see_also());
        rest.to_writer(&mut page)?;
        Ok(page)
    }

    /// Variables that stand for flags of this command, and the others.
    fn environment(&self, page: &mut Roff) {
        page.control("SH", ["ENVIRONMENT"]);
        for arg in self.command.get_arguments() {
            if let (Some(variable), Some(flag)) = (arg.get_env(), arg.get_long()) {
                let text = format!("The same as --{flag}, where the flag is not given.");
                tagged(page, bold(variable.to_string_lossy()), &text);
            }
        }
        let asks = self.command.get_arguments().any(|arg| arg.get_id() == "proxy");
        let others = OF_REQUESTS.iter().filter(|_| asks).chain(OF_ALL);
        others.for_each(|(name, text)| tagged(page, bold(*name), text));
    }

    fn see_also(&self) -> Vec<Inline> {
        let mut pages = match &self.of {
            Some(commands) => commands.iter().map(|name| format!("haul-{name}")).collect(),
            None => vec!["haul".to_owned()],
        };
        pages.extend(["curl".to_owned(), "sha256sum".to_owned()]);
        let named = pages.iter().enumerate().flat_map(|(at, page)| {
            let comma = if at == 0 { "" } else { ", " };
            [roman(comma), bold(page.as_str()), roman("(1)")]
        });
        named.chain([line_break()]).collect()
    }
}

fn tagged(page: &mut Roff, tag: Inline, text: &str) {
    page.control("TP", []);
    page.text([tag]);
    page.text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_that_it_understands() {
        for page in pages() {
            let examples = examples(page.name());
            assert!(!examples.is_empty(), "{}", page.name());
            for (line, _) in examples {
                let command = line.split([' ']).take_while(|word| !["|", ">"].contains(word));
                let command = command.map(|word| word.replace("HEX", &"0".repeat(64)));
                assert!(args::command().try_get_matches_from(command).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn every_page_has_its_sections_and_its_flags() {
        for page in pages() {
            let text = String::from_utf8(page.render().unwrap()).unwrap();
            for section in
                ["NAME", "SYNOPSIS", "EXAMPLES", "ENVIRONMENT", "FILES", "\"EXIT STATUS\"", "\"SEE ALSO\""]
            {
                assert!(text.contains(&format!(".SH {section}\n")), "{}: {section}\n{text}", page.name());
            }
            for arg in page.command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let flag = arg.get_long().map(|flag| flag.replace('-', r"\-"));
                assert!(flag.is_none_or(|flag| text.contains(&flag)), "{}: {arg}", page.name());
            }
        }
    }
}
