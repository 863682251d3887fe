//! A network namespace: an end of the line with addresses, routes and TCP settings of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::tools::clean;

const NAMES: [&str; 2] = ["haul-client-", "haul-server-"];

/// A namespace of this process, deleted when dropped.
pub(crate) struct Namespace {
    ip: PathBuf,
    name: String,
}

impl Namespace {
    pub(super) fn client(ip: &Path) -> Outcome<Self> {
        Self::open(ip, NAMES[0])
    }

    pub(super) fn server(ip: &Path) -> Outcome<Self> {
        Self::open(ip, NAMES[1])
    }

    fn open(ip: &Path, prefix: &str) -> Outcome<Self> {
        let name = format!("{prefix}{}", std::process::id());
        run(clean(ip).args(["netns", "add", &name]))?;
        let namespace = Self { ip: ip.to_owned(), name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Moves the interface out of this process's namespace and gives it an address.
    pub(super) fn adopt(&self, interface: &str, address: &str) -> Outcome<()> {
        run(clean(&self.ip).args(["link", "set", interface, "netns", &self.name]))?;
        self.ip(&format!("address add {address} dev {interface}"))?;
        // Only the emulated queues may overflow, never the device's.
        self.ip(&format!("link set {interface} mtu 1500 txqueuelen 10000 up"))
    }

    /// Runs `ip` with these words in the namespace.
    pub(super) fn ip(&self, words: &str) -> Outcome<()> {
        run(clean(&self.ip).args(["-n", &self.name]).args(words.split(' ')))
    }

    pub(super) fn set(&self, setting: &str, value: &str) -> Outcome<()> {
        let mut sysctl = clean("sysctl");
        sysctl.args(["-q", "-w", &format!("{setting}={value}")]);
        run(&mut self.inside(&sysctl))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Wraps a command to run in the namespace, with the same environment. `ip` execs the program, so that the measured
    /// process is the program.
    pub(crate) fn inside(&self, command: &Command) -> Command {
        let mut inside = clean(&self.ip);
        inside.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        let given = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        inside.envs(given);
        inside
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure cannot be handled here; the next run removes leftovers.
        let _ = run(clean(&self.ip).args(["netns", "delete", &self.name]));
    }
}

/// Removes the namespaces of interrupted runs.
pub(super) fn remove_left_over(ip: &Path) -> Outcome<()> {
    let listed = clean(ip).args(["netns", "list"]).output()?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| is_left_over(name)) {
        run(clean(ip).args(["netns", "delete", name]))?;
    }
    Ok(())
}

fn is_left_over(name: &str) -> bool {
    let owner = NAMES.iter().find_map(|prefix| name.strip_prefix(prefix));
    owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
}

fn run(command: &mut Command) -> Outcome<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}: {}", output.status, complaint.trim()).into())
}
