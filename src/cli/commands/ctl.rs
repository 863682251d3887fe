//! `haul ctl`: speaks to a running daemon over its socket.

use super::super::args::{Ctl, CtlCommand};
use super::super::output;
use super::serve::default_socket;
use crate::error::{Error, Kind};
use crate::formats::escape;
use crate::formats::size::format_bytes;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Time for the daemon to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between two looks of `watch`.
const PERIOD: Duration = Duration::from_secs(1);
/// Jobs that a list asks for at once.
const LISTED: i64 = 10_000;

const KEYS: [&str; 8] = [
    "gid",
    "status",
    "totalLength",
    "completedLength",
    "downloadSpeed",
    "files",
    "errorMessage",
    "connections",
];

pub(in super::super) fn run(ctl: &Ctl) -> Result<ExitCode, Error> {
    let socket = match &ctl.socket {
        Some(path) => path.clone(),
        None => default_socket()?,
    };
    let call = |method: &str, params: Value| call(&socket, method, &params);
    match &ctl.command {
        CtlCommand::Add { urls, out, dir, paused } => {
            if out.is_some() && urls.len() > 1 {
                return Err(Error::usage("--out names one file, but there are several URLs"));
            }
            for url in urls {
                let mut options = json!({});
                for (key, value) in [("out", out), ("dir", dir)] {
                    if let Some(value) = value {
                        options[key] = value.as_str().into();
                    }
                }
                if *paused {
                    options["pause"] = "true".into();
                }
                let gid = call("aria2.addUri", json!([[url], options]))?;
                match ctl.json {
                    true => output::print_json(&json!({ "gid": gid, "url": url }))?,
                    false => output::print_line(format_args!("{}", gid.as_str().unwrap_or_default()))?,
                }
            }
        }
        CtlCommand::List => list(&call, ctl.json)?,
        CtlCommand::Watch => loop {
            list(&call, ctl.json)?;
            if is_idle(&call)? {
                break;
            }
            std::thread::sleep(PERIOD);
            if !ctl.json {
                output::print(b"\n")?;
            }
        },
        CtlCommand::Pause { jobs } => each(&call, jobs, "aria2.pause", "aria2.pauseAll")?,
        CtlCommand::Resume { jobs } => each(&call, jobs, "aria2.unpause", "aria2.unpauseAll")?,
        CtlCommand::Remove { jobs } => {
            for job in jobs {
                call("aria2.remove", json!([job]))
                    .or_else(|_| call("aria2.removeDownloadResult", json!([job])))?;
            }
        }
        CtlCommand::Limit { rate, job } => {
            let rate = rate.to_string();
            match job {
                Some(job) => call("aria2.changeOption", json!([job, { "max-download-limit": rate }]))?,
                None => call("aria2.changeGlobalOption", json!([{ "max-overall-download-limit": rate }]))?,
            };
        }
        CtlCommand::Stop => drop(call("aria2.shutdown", json!([]))?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns true if no job runs or waits; paused ones wait for their owner.
fn is_idle(call: &dyn Fn(&str, Value) -> Result<Value, Error>) -> Result<bool, Error> {
    let active = call("aria2.tellActive", json!([["gid"]]))?;
    let waiting = call("aria2.tellWaiting", json!([0, LISTED, ["status"]]))?;
    let is_paused = |job: &Value| job["status"] == "paused";
    Ok(active == json!([]) && waiting.as_array().is_none_or(|jobs| jobs.iter().all(is_paused)))
}

fn each(
    call: &dyn Fn(&str, Value) -> Result<Value, Error>,
    jobs: &[String],
    one: &str,
    all: &str,
) -> Result<(), Error> {
    if jobs.is_empty() {
        return call(all, json!([])).map(drop);
    }
    jobs.iter().try_for_each(|job| call(one, json!([job])).map(drop))
}

fn list(call: &dyn Fn(&str, Value) -> Result<Value, Error>, json: bool) -> Result<(), Error> {
    for (method, params) in [
        ("aria2.tellActive", json!([KEYS])),
        ("aria2.tellWaiting", json!([0, LISTED, KEYS])),
        ("aria2.tellStopped", json!([0, LISTED, KEYS])),
    ] {
        for job in call(method, params)?.as_array().into_iter().flatten() {
            match json {
                true => output::print_json(job)?,
                false => output::print_line(format_args!("{}", line(job)))?,
            }
        }
    }
    Ok(())
}

fn line(job: &Value) -> String {
    let text = |key: &str| job[key].as_str().unwrap_or_default();
    let number = |key: &str| text(key).parse::<u64>().unwrap_or_default();
    let (total, done, rate) = (number("totalLength"), number("completedLength"), number("downloadSpeed"));
    let part = match total {
        0 => format_bytes(done),
        _ => format!("{} of {}", format_bytes(done), format_bytes(total)),
    };
    let rate = if rate > 0 { format!(", {}/s", format_bytes(rate)) } else { String::new() };
    let file = &job["files"][0];
    let name = match file["path"].as_str().unwrap_or_default() {
        "" => file["uris"][0]["uri"].as_str().unwrap_or_default(),
        path => path,
    };
    let error = match text("errorMessage") {
        "" => String::new(),
        why => format!(": {}", escape::shown(why)),
    };
    format!("{}  {:<8}  {}  {part}{rate}{error}", text("gid"), text("status"), escape::shown(name))
}

/// Calls a method of the daemon.
fn call(socket: &Path, method: &str, params: &Value) -> Result<Value, Error> {
    let body = json!({ "jsonrpc": "2.0", "id": "ctl", "method": method, "params": params }).to_string();
    let answered = exchange(socket, &body).map_err(|error| {
        let shown = escape::for_terminal(&socket.to_string_lossy()).into_owned();
        Error::new(Kind::NotFound, format!("no daemon answers on {shown}: {error}"))
            .with_hint("haul serve starts one; --socket names its socket")
    })?;
    let answer: Value = serde_json::from_slice(&answered)
        .map_err(|_| Error::new(Kind::Other, "the daemon gave an answer that is none"))?;
    match &answer["error"]["message"] {
        Value::String(why) => Err(Error::usage(why.clone())),
        _ => Ok(answer["result"].clone()),
    }
}

/// Sends a request, and returns the body of the response.
fn exchange(socket: &Path, body: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = crate::sys::unix_socket::Stream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = "POST /jsonrpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| std::io::Error::other("the answer broke off"))?;
    Ok(answer.split_off(end + 4))
}
