//! git-lfs with haul as its standalone transfer agent.

use crate::support::*;
use crate::{haul, is_program, is_there, run, run_well};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const PAYLOAD: Payload = Payload::mib(376, 4);

/// A clone whose one file has not been fetched yet.
struct Clone {
    sandbox: Sandbox,
}

impl Clone {
    fn new(server: &Server) -> Self {
        let sandbox = Sandbox::new();
        let clone = Self { sandbox };
        run_well(clone.git().args(["init", "--quiet"]));
        run_well(clone.git().args(["lfs", "install", "--local", "--skip-smudge"]));
        run_well(clone.git().args(["config", "lfs.url", &server.url("/r.git/info/lfs")]));
        run_well(clone.git().args(["remote", "add", "origin", &server.url("/r.git")]));
        clone.sandbox.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            PAYLOAD.sha256_hex(),
            PAYLOAD.len
        );
        clone.sandbox.write("large.bin", pointer);
        run_well(clone.git().args(["add", "."]));
        run_well(clone.git().args(["commit", "--quiet", "-m", "A large file"]));
        clone
    }

    fn git(&self) -> Command {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=n", "-c", "user.email=e@h", "-c", "protocol.version=2"])
            .current_dir(self.sandbox.work())
            .env("HOME", self.sandbox.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    /// The command of the documents.
    fn pull(&self) -> Command {
        let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/drivers.md")).unwrap();
        let line = text.lines().find(|line| line.starts_with("git -c lfs.")).unwrap();
        let line = line.replace("/usr/bin/haul", haul());
        let mut command = self.git();
        command.args(line.split(' ').skip(1));
        command
    }

    #[track_caller]
    fn assert_has_the_file(&self) {
        PAYLOAD.assert_file_is(&self.sandbox.path("large.bin"));
        let left = fs::read_dir(self.sandbox.path(".git/lfs/haul")).unwrap().count();
        assert_eq!(left, 0, "something is left of it");
    }
}

/// Answers the batch API, and everything else with `object`.
fn lfs_server(object: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Server {
    let server = Server::serve(PAYLOAD).start();
    let href = server.url("/object");
    server.behave_with(move |request, number| {
        if request.path() != "/r.git/info/lfs/objects/batch" {
            return object(request, number);
        }
        let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(asked["operation"], "download");
        let (oid, size) = (&asked["objects"][0]["oid"], &asked["objects"][0]["size"]);
        let header = json!({ "X-Granted": "T0K3N" });
        let download = json!({ "href": href, "header": header });
        let answer =
            json!({ "objects": [{ "oid": oid, "size": size, "actions": { "download": download } }] });
        Reply::Answer(Answer::text(200, &answer.to_string()))
    });
    server
}

fn is_installed() -> bool {
    is_there("git-lfs", is_program("git-lfs"))
}

#[test]
fn git_lfs_gets_a_file_with_the_headers_that_its_server_grants() {
    if !is_installed() {
        return;
    }
    let server = lfs_server(|request, _| match request.header("x-granted") {
        Some("T0K3N") => Reply::Normal,
        _ => Reply::Status(403),
    });
    let clone = Clone::new(&server);
    run_well(&mut clone.pull());
    clone.assert_has_the_file();
}

#[test]
fn an_interrupted_file_goes_on_with_the_same_command() {
    if !is_installed() {
        return;
    }
    let server = lfs_server(|_, _| Reply::Ends(Ending::Stall(MIB)));
    let clone = Clone::new(&server);
    let pull = clone.pull().process_group(0).spawn().unwrap();
    server.wait_for_body_bytes(MIB);
    run_well(Command::new("kill").args(["-INT", "--", &format!("-{}", pull.id())]));
    assert!(!pull.wait_with_output().unwrap().status.success());
    let again = lfs_server(|_, _| Reply::Normal);
    run_well(clone.git().args(["config", "lfs.url", &again.url("/r.git/info/lfs")]));
    run_well(&mut clone.pull());
    clone.assert_has_the_file();
    assert!(again.body_bytes() < PAYLOAD.len, "{}", again.describe());
}

#[test]
fn a_missing_object_and_a_wrong_one_are_errors_that_git_lfs_shows() {
    if !is_installed() {
        return;
    }
    let gone = lfs_server(|_, _| Reply::Status(404));
    let (code, said) = run(&mut Clone::new(&gone).pull());
    assert!(code != Some(0) && said.contains("404"), "{said}");
    let other = Payload::mib(377, 4);
    let wrong = lfs_server(move |request, _| Reply::Answer(Resource::of(other).answer(request)));
    let clone = Clone::new(&wrong);
    let (code, said) = run(&mut clone.pull());
    assert!(code != Some(0) && said.contains("checksum mismatch"), "{said}");
    assert!(fs::read_to_string(clone.sandbox.path("large.bin")).unwrap().starts_with("version"));
}

#[test]
fn credentials_come_from_the_helpers_of_git() {
    if !is_installed() {
        return;
    }
    let object = |request: &Request, _| match request.header("authorization") {
        Some("Basic bWU6UzNDUg==") => Reply::Normal,
        _ => Reply::Status(401),
    };
    let server = lfs_server(object);
    let href = server.url("/object");
    server.behave_with(move |request, number| {
        let batch = request.path() == "/r.git/info/lfs/objects/batch";
        match object(request, number) {
            Reply::Normal if batch => {
                let download = json!({ "href": href });
                let objects = json!([{ "oid": PAYLOAD.sha256_hex(), "actions": { "download": download } }]);
                Reply::Answer(Answer::text(200, &json!({ "objects": objects }).to_string()))
            }
            reply => reply,
        }
    });
    let clone = Clone::new(&server);
    let helper = "!f() { echo username=me; echo password=S3CR; }; f";
    run_well(clone.git().args(["config", "credential.helper", helper]));
    run_well(&mut clone.pull());
    clone.assert_has_the_file();
}

#[test]
fn pushing_through_the_agent_is_refused_in_words() {
    let sandbox = Sandbox::new();
    sandbox.write("input", "{\"event\":\"init\",\"operation\":\"upload\",\"remote\":\"origin\"}\n");
    let input = fs::File::open(sandbox.path("input")).unwrap();
    let said = run_well(Command::new(haul()).arg("lfs-agent").stdin(input));
    assert!(said.contains("only downloads"), "{said}");
}

#[test]
fn a_remote_of_ssh_is_asked_with_its_user_its_port_and_the_ssh_of_git() {
    if !is_installed() {
        return;
    }
    let object = |request: &Request, _| match request.header("x-ssh") {
        Some("T0K3N") => Reply::Normal,
        _ => Reply::Status(403),
    };
    let server = lfs_server(|request, _| match request.header("x-granted") {
        Some("T0K3N") => Reply::Normal,
        _ => Reply::Status(403),
    });
    let clone = Clone::new(&server);
    run_well(clone.git().args(["config", "--unset", "lfs.url"]));
    run_well(clone.git().args(["remote", "set-url", "origin", "ssh://me@h.invalid:2222/o/r.git"]));
    // It answers as the server does, and writes down how it was called.
    let grant = json!({ "href": server.url("/r.git/info/lfs"), "header": { "X-Ssh": "T0K3N" } });
    let ssh = clone.sandbox.write(
        "fake-ssh",
        format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$0.said\"\ncat <<'END'\n{grant}\nEND\n"),
    );
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let said = clone.sandbox.path("fake-ssh.said");
    for (variable, value) in
        [("GIT_SSH", ssh.display().to_string()), ("GIT_SSH_COMMAND", format!("'{}' -4", ssh.display()))]
    {
        let _ = fs::remove_dir_all(clone.sandbox.path(".git/lfs/objects"));
        run_well(clone.pull().env(variable, &value));
        clone.assert_has_the_file();
        let words = fs::read_to_string(&said).unwrap();
        assert!(
            words.ends_with("-p\n2222\nme@h.invalid\ngit-lfs-authenticate /o/r.git download\n"),
            "{words}"
        );
        assert_eq!(words.starts_with("-4\n"), variable == "GIT_SSH_COMMAND");
    }
    let batch = server.requests().into_iter().find(|request| request.target.ends_with("/objects/batch"));
    assert!(matches!(object(&batch.unwrap(), 0), Reply::Normal));
    run_well(clone.git().args(["config", "core.sshCommand", &format!("'{}' -6", ssh.display())]));
    let _ = fs::remove_dir_all(clone.sandbox.path(".git/lfs/objects"));
    run_well(&mut clone.pull());
    assert!(fs::read_to_string(&said).unwrap().starts_with("-6\n"));
}
