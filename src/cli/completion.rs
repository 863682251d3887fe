//! Completion scripts: those that clap generates, with the values that are known beforehand, and a part that asks haul itself for
//! the hosts of the configuration.

use super::args::Cli;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory as _, ValueHint};
use clap_complete::Shell;

/// Offer of a script for a value.
enum Offer {
    Words(&'static [&'static str]),
    Kind(ValueHint),
}

/// Offer for a value by the name of its flag or argument; paths and names of choices are known from their types.
fn offer(argument: &str) -> Option<Offer> {
    Some(match argument {
        "proxy" => Offer::Words(&["http://", "https://", "socks5://", "socks5h://", "@"]),
        "nats" => Offer::Words(&["nats://", "tls://"]),
        "connections" => Offer::Words(&["auto", "1", "2", "4", "8", "16"]),
        "shard" => Offer::Words(&["auto", "auto/"]),
        "checksum" => Offer::Words(&["sha256:", "sha512:", "blake2b:", "blake3:", "sha1:", "md5:"]),
        "pin" => Offer::Words(&["sha256//"]),
        "metalink" | "checksum_file" | "minisign" => Offer::Kind(ValueHint::AnyPath),
        "dir" | "offline" | "root" | "places" => Offer::Kind(ValueHint::DirPath),
        "on_done" | "on_error" | "refresh_cmd" => Offer::Kind(ValueHint::CommandString),
        "urls" | "url" | "mirror" | "allow_origin" => Offer::Kind(ValueHint::Url),
        "noproxy" | "resolve" | "allow_host" => Offer::Kind(ValueHint::Hostname),
        "range" | "sha256" | "digests" | "jobs" | "min_split_size" | "limit_rate" | "max_size" | "retry"
        | "retry_max_time" | "connect_timeout" | "first_byte_timeout" | "stall_timeout" | "max_redirs"
        | "stream_name" | "lease" | "duplicate_window" | "max_deliver" | "per_host" | "header"
        | "user_agent" | "user" | "interface" | "listen" | "out" | "rate" | "job" | "s3_endpoint"
        | "arguments" => Offer::Kind(ValueHint::Other),
        _ => return None,
    })
}

/// The command line as a script completes it. It parses nothing.
fn completed(command: Command) -> Command {
    let with_offer = |argument: Arg| match offer(argument.get_id().as_str()) {
        Some(Offer::Words(words)) => argument.value_parser(PossibleValuesParser::new(words.iter().copied())),
        // Of another command, a flag of the same name may take no value.
        Some(Offer::Kind(kind)) if argument.get_action().takes_values() => {
            // In a script for zsh a colon ends the name of a value.
            let is_split =
                argument.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains(':')));
            let argument = if is_split { argument.value_name("VALUE") } else { argument };
            argument.value_hint(kind)
        }
        _ => argument,
    };
    command.mut_args(with_offer).mut_subcommands(completed)
}

/// The script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut completed(Cli::command()), "haul", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script + BASH,
        Shell::Zsh => for_zsh(&script),
        Shell::Fish => script + FISH,
        _ => script,
    }
}

/// The script for zsh, which asks for hosts. clap takes the first argument for a URL and the second one for the command, and offers
/// nothing below a command; here the first one tells which of them it is.
fn for_zsh(script: &str) -> String {
    const BEGIN: &str = "_arguments \"${_arguments_options[@]}\" : \\\n";
    const COMMANDS: &str = "\":: :_haul_commands\" \\\n";
    let script = script.replace(":_urls'", ":_haul_urls'").replace(":_hosts'", ":_haul_hosts'");
    let script = script.replacen("#compdef haul\n", &format!("#compdef haul\n{ZSH}"), 1);
    let Some((before, rest)) = script.split_once(BEGIN) else {
        return script;
    };
    let Some((own, rest)) = rest.split_once(COMMANDS) else {
        return script.clone();
    };
    // The last of the program's own arguments are the URLs.
    let flags = own.rfind("'::urls").map_or(own, |at| &own[..at]);
    let of_urls = format!("(*://*)\n{BEGIN}{flags}'*::urls:_haul_urls' \\\n&& ret=0\n;;\n");
    let rest = rest.replace("$line[2]", "$line[1]");
    let rest = rest.replacen("case $line[1] in\n", &format!("case $line[1] in\n{of_urls}"), 1);
    format!("{before}{BEGIN}{flags}\":: :_haul_commands_and_urls\" \\\n{rest}")
}

/// Readline splits words at colons: what is offered begins behind the last one.
const BASH: &str = r#"
# Hosts of the configuration: as URLs, or as the flag wants them.
_haul_hosts() {
    _haul "$@"
    local line="${COMP_LINE:0:COMP_POINT}" form=url word before host offer left
    word="${line##*[[:space:]]}"
    before="${line%"$word"}"
    before="${before%"${before##*[![:space:]]}"}"
    case "${before##*[[:space:]]}" in
        --mirror | --url) COMPREPLY=() ;;
        --noproxy | --allow-host) COMPREPLY=() form=host ;;
        --resolve) COMPREPLY=() form=address ;;
        --proxy) return 0 ;;
        -*) [[ $word == http* ]] || return 0 ;;
    esac
    [[ $word == -* ]] && return 0
    left="${word%"$2"}"
    while IFS= read -r host; do
        case "$form,$host" in
            host,*) offer="$host" ;;
            *,\**) continue ;;
            url,*) offer="https://$host/" ;;
            address,*) offer="$host:443:" ;;
        esac
        if [[ $offer == "$word"* ]]; then
            COMPREPLY+=("${offer#"$left"}")
            compopt -o nospace 2>/dev/null
        fi
    done < <("$1" completions --hosts 2>/dev/null)
    return 0
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _haul_hosts -o nosort -o bashdefault -o default haul
else
    complete -F _haul_hosts -o bashdefault -o default haul
fi
"#;

const ZSH: &str = r#"
_haul_commands_and_urls() {
    _haul_commands "$@"
    _haul_urls "$@"
}

# Hosts of the configuration, as URLs and by name.
_haul_urls() {
    local -a hosts
    hosts=(${(f)"$(command haul completions --hosts 2>/dev/null)"})
    hosts=(${hosts:#\**})
    (( $#hosts )) && compadd "$@" -S '' -- https://${^hosts}/
    _urls "$@"
}

_haul_hosts() {
    local -a hosts
    hosts=(${(f)"$(command haul completions --hosts 2>/dev/null)"})
    (( $#hosts )) && compadd "$@" -S '' -- $hosts
    _hosts "$@"
}

"#;

const FISH: &str = r#"
# As above, where the value of a flag is still to come, too.
function __fish_haul_needs_command
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_haul_global_optspecs) -- $cmd 2>/dev/null
    or argparse -s (__fish_haul_global_optspecs) -- $cmd '' 2>/dev/null
    or return
    if set -q argv[1]
        echo $argv[1]
        return 1
    end
    return 0
end

# Hosts of the configuration: as URLs, or as the flag wants them.
function __haul_hosts
    command haul completions --hosts 2>/dev/null
end
function __haul_named_hosts
    __haul_hosts | string match -v '\**'
end
complete -c haul -a "(__haul_named_hosts | string replace -r '(.+)' 'https://\$1/')"
complete -c haul -l mirror -x -a "(__haul_named_hosts | string replace -r '(.+)' 'https://\$1/')"
complete -c haul -l resolve -x -a "(__haul_named_hosts | string replace -r '(.+)' '\$1:443:')"
complete -c haul -l noproxy -x -a "(__haul_hosts)"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// All arguments of a command and those below it that take a value.
    fn values(command: &Command) -> Vec<Arg> {
        let own = command.get_arguments().filter(|argument| argument.get_action().takes_values()).cloned();
        own.chain(command.get_subcommands().flat_map(values)).collect()
    }

    #[test]
    fn something_is_offered_for_each_value_and_nothing_for_values_that_do_not_exist() {
        let mut command = completed(Cli::command());
        command.build();
        for argument in values(&command) {
            let is_offered =
                !argument.get_possible_values().is_empty() || argument.get_value_hint() != ValueHint::Unknown;
            // Names that only the daemon or the manual knows.
            let is_free = ["jobs", "page", "subcommand"].contains(&argument.get_id().as_str());
            assert!(is_offered || is_free, "nothing is offered for {argument:?}");
        }
    }

    #[test]
    fn policies_and_the_forms_of_a_proxy_are_offered() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["overwrite", "rename", "socks5h", "blake3", "auto"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            assert!(script.contains("completions --hosts"), "{shell}");
        }
        assert!(script(Shell::Fish).matches("function __fish_haul_needs_command").count() == 2);
        let zsh = script(Shell::Zsh);
        assert!(zsh.starts_with("#compdef haul\n\n_haul_commands_and_urls"), "{zsh}");
        assert!(zsh.contains("(*://*)\n_arguments") && !zsh.contains("$line[2]"), "{zsh}");
        assert!(zsh.contains(":VALUE:_haul_hosts'"), "{zsh}");
    }
}
