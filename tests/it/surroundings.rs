//! The environment of the process: ignored signals, a home of another user, a limit on threads.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(171, 8);

/// Runs the program with these signals ignored, as `nohup` and `&` in a script do.
fn ignoring(signals: &str) -> [String; 3] {
    ["/bin/sh".into(), "-c".into(), format!("trap '' {signals}; exec \"$0\" \"$@\"")]
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored_and_the_others_are_heard() {
    for (ignored, heard, number) in [("HUP", "INT", 2), ("INT", "TERM", 15), ("TERM", "HUP", 1)] {
        for signal in [ignored, heard] {
            let gate = Gate::after(4 * MIB);
            let server = Server::serve(PAYLOAD).gate(&gate).start();
            let sandbox = Sandbox::new();
            let haul = sandbox.haul().under(ignoring(ignored)).arg("--json").arg(server.url("/file.bin"));
            let running = haul.spawn();
            running.wait_for_durable(2 * MIB);
            running.signal(signal);
            if signal == heard {
                running.wait().assert_signalled(number);
                sandbox.assert_kept("file.bin");
            } else {
                gate.open();
                running.wait().assert_ok();
                sandbox.assert_ok_file(&PAYLOAD, "file.bin");
            }
        }
    }
}

#[test]
fn a_home_that_cannot_be_read_is_a_warning_and_the_download_goes_on() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let shut = sandbox.root().join("shut");
    std::fs::create_dir(&shut).unwrap();
    std::fs::set_permissions(&shut, std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    // Capabilities of root would open it.
    let powerless = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];
    if !std::process::Command::new(powerless[0])
        .args(&powerless[1..])
        .arg("true")
        .status()
        .is_ok_and(|it| it.success())
    {
        return crate::support::left_out("setpriv is not installed or not allowed");
    }
    std::fs::write(sandbox.root().join("file"), "").unwrap();
    for (variable, value, warned) in [
        ("HOME", shut.clone(), true),
        ("XDG_CONFIG_HOME", shut.clone(), true),
        ("HOME", sandbox.root().join("nowhere"), false),
        ("HOME", sandbox.root().join("file"), false),
    ] {
        let haul = sandbox.haul().under(powerless).env(variable, &value).args(["--if-exists", "overwrite"]);
        let outcome = haul.arg(server.url("/file.bin")).run();
        outcome.assert_ok();
        assert_eq!(outcome.stderr.contains("haul: warning: cannot read"), warned, "{variable}: {outcome}");
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    }
}

/// User of a test whose threads are counted; nothing else runs under this id.
const LONELY: &str = "54171";

/// Runs a copy of the program as a user who may have `count` threads besides the first.
fn with_threads(sandbox: &Sandbox, count: usize) -> Vec<String> {
    let copy = sandbox.root().join("haul");
    let run = format!("exec prlimit --nproc={0}:{0} {1} \"$@\"", count + 1, copy.display());
    let user = ["setpriv", "--reuid", LONELY, "--regid", LONELY, "--clear-groups", "/bin/sh", "-c"];
    user.map(str::to_owned).into_iter().chain([run]).collect()
}

#[test]
fn however_few_threads_can_be_had_the_download_ends_well() {
    let small = Payload::new(172, 20_000);
    let digest = format!("sha256:{}", PAYLOAD.sha256_hex());
    for had in [0, 1, 2, 3, 4, 5, 6, 8, 12] {
        let sandbox = Sandbox::new();
        for directory in [sandbox.root(), &sandbox.work()] {
            std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        std::fs::copy(env!("CARGO_BIN_EXE_haul"), sandbox.root().join("haul")).unwrap();
        let limited = || sandbox.haul().under(with_threads(&sandbox, had));
        if limited().arg("--version").run().code != Some(0) {
            return crate::support::left_out("the program cannot be run as another user with a limit");
        }
        let server = Server::serve(PAYLOAD).start();
        // These options need a name lookup, a hash computation and checkpoints.
        let url = server.url("/file.bin").replace("127.0.0.1", "localhost");
        limited().args(["-x", "4", "--checksum", &digest]).arg(&url).run().assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        limited().args(["--checksum", &digest]).arg(&url).run().assert_ok().assert_says("complete already");
        let piped = limited().args(["-q", "-o", "-"]).arg(&url).run();
        piped.assert_ok();
        PAYLOAD.assert_is(&piped.stdout);
        let server = Server::serve(small).start();
        let list: String = (0..40).map(|nth| server.url(&format!("/f{nth}")) + "\n").collect();
        limited().args(["-j", "8", "-i", "-"]).stdin(list).run().assert_ok();
        (0..40).for_each(|nth| sandbox.assert_ok_file(&small, &format!("f{nth}")));
    }
}
