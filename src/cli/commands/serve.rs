//! `haul serve`: the daemon.

use super::super::args::{Options, ServeOptions};
use super::super::base::Base;
use super::super::runtime::runtime;
use super::super::setup::Setup;
use super::super::signals::{self, Signals};
use super::super::unsaved::Unsaved;
use super::super::{bounded, config, of_one_run, output, places};
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::rpc::{Access, Listeners, Save, Service, Settings, new_secret, serve};
use crate::sys::{self, Facts as _, unix_socket};
use crate::{Queue, QueueSettings};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Time for running jobs to be made durable when the daemon is told to end.
const GRACE: Duration = Duration::from_secs(5);
/// Largest list of jobs, in bytes.
const LARGEST_LIST: u64 = 64 << 20;
/// Longest secret, in bytes.
const LONGEST_SECRET: u64 = 4096;

pub(in super::super) fn run(given: &ServeOptions, options: Options) -> Result<ExitCode, Error> {
    let setup = Setup::open(config::fill(options)?, &[])?;
    setup.refuse_lists("haul serve")?;
    refuse_others(&setup.options)?;
    let root = root(&given.root)?;
    let (secret, kept_in) = match &given.secret {
        Some(secret) => (secret.clone(), None),
        None => secret(given.secret_file.as_deref()).map(|(secret, path)| (secret, Some(path)))?,
    };
    let session = match &given.session {
        Some(path) => path.clone(),
        // Several of aria2c run beside each other, each at its port.
        None if given.aria2.is_some() => own_file(&format!("aria2-{}", given.listen.port()))?,
        None => own_file("queue")?,
    };
    let socket = match &given.socket {
        Some(path) => Some(path.clone()),
        None if given.aria2.is_some() => None,
        None => Some(default_socket()?),
    };
    let aria2 = given.aria2.clone().unwrap_or_default();
    let listed = match &aria2.input_file {
        Some(path) => bounded::read(path, LARGEST_LIST)
            .map_err(|error| Error::usage(format!("cannot read {}: {error}", shown(path))))?,
        None => String::new(),
    };
    let mut kept_options = session.as_os_str().to_owned();
    kept_options.push(".options");
    let kept_options = PathBuf::from(kept_options);
    let client = setup.client()?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = signals::listen()?;
        let tcp = TcpListener::bind(given.listen).await;
        let tcp = tcp.map_err(|error| cannot_listen(given, &error))?;
        let mut defaults = setup.defaults();
        (defaults.dir, defaults.root) = (Some(root.clone()), Some(root.clone()));
        let mut settings = QueueSettings::default();
        settings.defaults.clone_from(&defaults);
        settings.session = Some(session);
        let queue = Queue::open(client, settings).await?;
        let unix = match &socket {
            Some(path) => Some(unix_socket::listen(path).map_err(|error| cannot_listen_at(path, &error))?),
            None => None,
        };
        let access = Access::new(Some(secret), origins(&given.allow_origin)?, given.allow_host.clone());
        let given_root = std::path::absolute(&given.root).unwrap_or_else(|_| root.clone());
        let global = global_options(&setup.options);
        let settings = Settings {
            root: root.clone(),
            given_root,
            access,
            defaults,
            global,
            warn,
            save_list: aria2.save_session.map(keeper),
            save_options: Some(keeper(kept_options.clone())),
        };
        let service = Service::new(queue.clone(), settings)?;
        service.recall().await;
        if let Ok(text) = bounded::read(&kept_options, LARGEST_LIST) {
            service.restore_options(&text).await;
        }
        service.add_listed(&listed, aria2.files).await;
        // The system chooses the port if 0 is given.
        let address = tcp.local_addr().unwrap_or(given.listen);
        let root = root.to_string_lossy();
        output::say(format_args!(
            "haul: listening on http://{address}/{}; files go to {}; the secret is {}",
            socket.as_ref().map_or(String::new(), |path| format!(" and {}", shown(path))),
            escape::for_terminal(&root),
            kept_in.map_or("the one given".to_owned(), |path| format!("in {}", shown(&path))),
        ));
        tell_systemd("READY=1");
        run_until_stopped(&service, Listeners { tcp: Some(tcp), unix }, &mut signals).await;
        tell_systemd("STOPPING=1");
        // The address is free once no client is answered any more.
        if let Some(path) = &socket {
            let _ = sys::unlink(path);
        }
        if let Err(error) = service.save_list().await {
            output::say_failure(&error);
        }
        match tokio::time::timeout(GRACE, queue.close()).await {
            Ok(closed) => closed,
            Err(_) => Err(Error::new(Kind::Other, "running jobs could not be made durable in 5 s")),
        }
    });
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn run_until_stopped(service: &Arc<Service>, listeners: Listeners, signals: &mut Signals) {
    let listening = service.clone().listen();
    tokio::select! {
        () = serve(service.clone(), listeners) => {}
        // The queue has ended, which only this function orders.
        () = listening => {}
        _ = signals.end() => service.stop(),
    }
}

/// Options of the daemon in aria2's words.
fn global_options(options: &Options) -> Vec<(&'static str, String)> {
    let given = [
        ("max-concurrent-downloads", options.jobs.map(|jobs| jobs.to_string())),
        ("max-overall-download-limit", options.limit_rate.map(|rate| rate.to_string())),
        ("user-agent", options.user_agent.clone()),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Refuses flags that are about the files of one run: clients say what a job is.
fn refuse_others(options: &Options) -> Result<(), Error> {
    let cookies = options.netrc || options.netrc_file.is_some() || options.load_cookies.is_some();
    of_one_run::refuse(options, &[("--netrc and -b", cookies)], |flag| {
        format!("haul serve has no use for {flag}: clients say that of each job")
    })
}

/// Origins as browsers send them: without a path.
fn origins(given: &[String]) -> Result<Vec<String>, Error> {
    let origin = |text: &String| {
        let bare = text.trim_end_matches('/').to_ascii_lowercase();
        let is_origin = bare
            .split_once("://")
            .is_some_and(|(scheme, site)| !scheme.is_empty() && !site.is_empty() && !site.contains('/'));
        match is_origin || bare == "*" || bare == "null" {
            true => Ok(bare),
            false => Err(Error::usage(format!(
                "--allow-origin {text}: an origin is written as https://HOST or https://HOST:PORT"
            ))),
        }
    };
    given.iter().map(origin).collect()
}

fn warn(text: &str) {
    output::say(format_args!("haul: note: {}", escape::shown(text)));
}

fn shown(path: &Path) -> String {
    escape::for_terminal(&path.to_string_lossy()).into_owned()
}

fn cannot_listen(given: &ServeOptions, error: &io::Error) -> Error {
    let choice = if given.aria2.is_some() { "--rpc-listen-port" } else { "--listen ADDRESS:PORT" };
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program listens there, perhaps another haul serve: choose {choice}")
        }
        _ => format!("choose {choice}"),
    };
    Error::new(Kind::Other, format!("cannot listen on {}: {error}", given.listen)).with_hint(hint)
}

fn cannot_listen_at(path: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another haul serve listens there: choose --socket PATH and --session FILE"
        }
        _ => "choose --socket PATH",
    };
    Error::new(Kind::Other, format!("cannot listen on {}: {error}", shown(path))).with_hint(hint)
}

/// Keeps texts in a file for the user alone, which is replaced as a whole.
fn keeper(path: PathBuf) -> Save {
    Arc::new(move |text: &str| {
        let mut file = Unsaved::create(&path, &Base::Here)?;
        let failed = |error: io::Error| Error::disk("cannot write", &path, &error);
        text.lines().try_for_each(|line| file.add(line)).map_err(failed)?;
        file.finish()
    })
}

/// Directory that no job leaves, created if it is missing.
fn root(given: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(given).map_err(|error| Error::disk("cannot create", given, &error))?;
    given.canonicalize().map_err(|error| Error::disk("cannot open", given, &error))
}

/// A file of the user's state, in a directory of the user's alone.
fn own_file(name: &str) -> Result<PathBuf, Error> {
    let path = places::state(name).ok_or_else(|| {
        Error::usage("there is no home directory for the state")
            .with_hint("name the files: --session, --socket and --secret-file")
    })?;
    if let Some(directory) = path.parent() {
        sys::create_private_directories(directory)
            .map_err(|error| Error::disk("cannot create", directory, &error))?;
    }
    Ok(path)
}

pub(super) fn default_socket() -> Result<PathBuf, Error> {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(directory) => Ok(directory.join("haul.sock")),
        None => own_file("haul.sock"),
    }
}

/// The secret and its file: the one named, or one of this user's that is made once.
fn secret(given: Option<&Path>) -> Result<(String, PathBuf), Error> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => own_file("rpc-secret")?,
    };
    if given.is_none() && !path.exists() {
        let secret = new_secret()?;
        let made = sys::private(OpenOptions::new().write(true).create_new(true)).open(&path);
        let written = made.and_then(|mut file| writeln!(file, "{secret}").and_then(|()| file.sync_all()));
        written.map_err(|error| Error::disk("cannot write", &path, &error))?;
    }
    let text = bounded::read(&path, LONGEST_SECRET)
        .map_err(|error| Error::usage(format!("cannot read {}: {error}", shown(&path))))?;
    let others = fs::metadata(&path).map_or(0, |found| found.mode_bits()) & 0o077;
    if others != 0 {
        return Err(Error::new(Kind::Unsafe, format!("{} is open to other users", shown(&path)))
            .with_hint("keep the secret to yourself: chmod 600"));
    }
    match text.trim() {
        "" => Err(Error::usage(format!("{} holds no secret", shown(&path)))),
        secret => Ok((secret.to_owned(), path)),
    }
}

/// Tells systemd of a change of state, if it started this process.
fn tell_systemd(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        // Without an answer the manager decides by its own timeout.
        let _ = unix_socket::notify(&socket, state);
    }
}
