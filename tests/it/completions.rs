//! Completion scripts, in the shells themselves.

use std::path::Path;
use std::process::Command;

use crate::support::*;

/// A sandbox whose configuration has tables for hosts.
fn configured() -> Sandbox {
    let sandbox = Sandbox::new();
    let directory = sandbox.home().join(".config/haul");
    std::fs::create_dir_all(&directory).unwrap();
    let tables = "[host.\"files.example.org\"]\nconnections = 2\n[host.\"*.corp.example\"]\nconnections = 2\n\
                  [host.\"mirror.example.net\"]\nconnections = 2\n";
    std::fs::write(directory.join("config.toml"), tables).unwrap();
    sandbox
}

#[test]
fn the_hosts_of_the_configuration_are_printed_for_scripts() {
    let sandbox = configured();
    let outcome = sandbox.haul().args(["completions", "--hosts"]).run();
    let said = outcome.assert_ok().stdout_text();
    let mut hosts: Vec<_> = said.lines().collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["*.corp.example", "files.example.org", "mirror.example.net"]);
    assert_eq!(Sandbox::new().haul().args(["completions", "--hosts"]).run().assert_ok().stdout_text(), "");
    sandbox.haul().arg("completions").run().assert_failed(2);
    sandbox.haul().args(["completions", "--hosts", "bash"]).run().assert_failed(2);
}

/// Words that bash offers at the end of a line, which is separated as readline does it.
fn offered(sandbox: &Sandbox, words: &[&str], line: &str) -> Vec<String> {
    let haul = env!("CARGO_BIN_EXE_haul");
    let script = sandbox.haul().args(["completions", "bash"]).run();
    let last = words.last().unwrap();
    let before = words.len().checked_sub(2).map_or(haul, |at| words[at]);
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let run = format!(
        "{}\nCOMP_WORDS=('{haul}' {}) COMP_CWORD={} COMP_LINE='haul {line}' COMP_POINT={}\n\
         _haul_hosts '{haul}' '{last}' '{before}' 2>/dev/null\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.assert_ok().stdout_text(),
        quoted.join(" "),
        words.len(),
        line.len() + "haul ".len()
    );
    // The script is longer than an argument may be.
    let file = sandbox.write("completion.sh", run);
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc"]).arg(file).env_clear().env("HOME", sandbox.home());
    let outcome = bash.env("PATH", "/usr/bin:/bin").current_dir(sandbox.work()).output().unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    let said = String::from_utf8(outcome.stdout).unwrap();
    said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_hosts_policies_and_the_forms_of_a_proxy() {
    let sandbox = configured();
    let cases: [(&[&str], &str, &[&str]); 9] = [
        (&["https", ":", "//f"], "https://f", &["//files.example.org/"]),
        (&["-q", "https", ":", "//"], "-q https://", &["//files.example.org/", "//mirror.example.net/"]),
        (&["info", "https", ":", "//m"], "info https://m", &["//mirror.example.net/"]),
        (&["--mirror", "ht"], "--mirror ht", &["https://files.example.org/", "https://mirror.example.net/"]),
        (&["--noproxy", "*.c"], "--noproxy *.c", &["*.corp.example"]),
        (&["--resolve", "fi"], "--resolve fi", &["files.example.org:443:"]),
        (&["--if-exists", "r"], "--if-exists r", &["rename"]),
        (&["--proxy", "so"], "--proxy so", &["socks5://", "socks5h://"]),
        (&["-x", "a"], "-x a", &["auto"]),
    ];
    for (words, line, wanted) in cases {
        let mut offered = offered(&sandbox, words, line);
        offered.sort_unstable();
        assert_eq!(offered, wanted, "haul {line}");
    }
    let all = offered(&sandbox, &[""], "");
    for word in ["--if-exists", "info", "https://files.example.org/"] {
        assert!(all.iter().any(|offered| offered == word), "{word} is not offered: {all:?}");
    }
    assert!(!all.iter().any(|offered| offered.contains('*')), "{all:?}");
}

#[test]
fn in_bash_a_url_is_completed_behind_its_colon() {
    let sandbox = configured();
    let script = sandbox.haul().args(["completions", "bash"]).run();
    let script = format!("{}\nPS1='ready> '\n", script.assert_ok().stdout_text());
    std::fs::write(sandbox.root().join("haul.bash"), script).unwrap();
    let line = format!(
        "env -i TERM=\"$TERM\" HOME={} PATH={} bash --noprofile --rcfile {} -i",
        sandbox.home().display(),
        search_path(),
        sandbox.root().join("haul.bash").display()
    );
    let Some(window) = Window::run(&sandbox, (100, 24), &line) else { return };
    window.wait_until("the shell is there", |screen| screen.contains("ready>"));
    window.tmux(&["send-keys", "haul info https://fi", "Tab"]);
    window.wait_until("the host is completed", |screen| {
        screen.contains("haul info https://files.example.org/")
    });
    window.tmux(&["send-keys", "C-u", "haul --if-exists ov", "Tab"]);
    window.wait_until("the policy is completed", |screen| screen.contains("haul --if-exists overwrite"));
}

/// Returns true if a shell is there, and notes it if not.
fn is_there(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        left_out(&format!("{shell} is not installed"));
    }
    found
}

/// Path in which shells find the program that is tested.
fn search_path() -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_haul")).parent().unwrap();
    format!("{}:/usr/bin:/bin", directory.display())
}

#[test]
fn fish_offers_hosts_policies_and_the_forms_of_a_proxy() {
    if !is_there("fish") {
        return;
    }
    let sandbox = configured();
    let script = sandbox.haul().args(["completions", "fish"]).run();
    std::fs::write(sandbox.root().join("haul.fish"), script.assert_ok().stdout_text()).unwrap();
    for (line, wanted) in [
        ("haul https://f", "https://files.example.org/"),
        ("haul info https://m", "https://mirror.example.net/"),
        ("haul --mirror https://m", "https://mirror.example.net/"),
        ("haul --noproxy \\\\*.", "*.corp.example"),
        ("haul --resolve fi", "files.example.org:443:"),
        ("haul --if-exists r", "rename"),
        ("haul info --if-exists ov", "overwrite"),
        ("haul --proxy socks5h", "socks5h://"),
    ] {
        let run = format!("source {}; complete -C '{line}'", sandbox.root().join("haul.fish").display());
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &run])
            .env_clear()
            .env("HOME", sandbox.home())
            .env("PATH", search_path());
        let said = fish.current_dir(sandbox.work()).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        let offered: Vec<_> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert!(offered.contains(&wanted), "{line}: {offered:?}");
    }
}

#[test]
fn zsh_completes_hosts_policies_and_what_stands_below_a_command() {
    if !is_there("zsh") {
        return;
    }
    let sandbox = configured();
    let script = sandbox.haul().args(["completions", "zsh"]).run();
    std::fs::create_dir(sandbox.root().join("fpath")).unwrap();
    std::fs::write(sandbox.root().join("fpath/_haul"), script.assert_ok().stdout_text()).unwrap();
    let root = sandbox.root().display();
    let start = format!(
        "fpath=({root}/fpath $fpath)\nautoload -U compinit\ncompinit -u -d {root}/dump\nPS1='ready> '\n"
    );
    std::fs::write(sandbox.root().join(".zshrc"), start).unwrap();
    let line = format!(
        "env -i TERM=\"$TERM\" HOME={} PATH={} ZDOTDIR={root} zsh -i",
        sandbox.home().display(),
        search_path()
    );
    let Some(window) = Window::run(&sandbox, (100, 24), &line) else { return };
    window.wait_until("the shell is there", |screen| screen.contains("ready>"));
    for (typed, completed) in [
        ("haul https://fi", "haul https://files.example.org/"),
        ("haul info https://fi", "haul info https://files.example.org/"),
        ("haul https://x.example/a --if-exists ov", "haul https://x.example/a --if-exists overwrite"),
        ("haul sync --froz", "haul sync --frozen"),
        ("haul --resolve fi", "haul --resolve files.example.org"),
    ] {
        window.tmux(&["send-keys", typed, "Tab"]);
        window.wait_until(completed, |screen| screen.contains(completed));
        window.tmux(&["send-keys", "C-u"]);
    }
}
