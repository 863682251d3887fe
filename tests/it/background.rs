//! `--background`: the file is the same, whatever the windows do.

use crate::crash::strace_works;
use crate::support::*;

const PAYLOAD: Payload = Payload::mib(321, 24);

#[test]
fn a_background_download_is_the_same_file_over_several_connections_and_over_tls() {
    let authority = tls::Authority::new();
    let plain = Server::serve(PAYLOAD).start();
    let secure = Server::serve(PAYLOAD).tls(authority.config(&["127.0.0.1", "localhost"])).start();
    for server in [&plain, &secure] {
        let sandbox = Sandbox::new();
        let ca = authority.write_to(&sandbox);
        let outcome = sandbox
            .haul()
            .args(["--background", "--sha256", &PAYLOAD.sha256_hex()])
            .arg("--cacert")
            .arg(ca)
            .arg(server.url("/file.bin"))
            .run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file.bin");
        assert!(server.connections() >= 2, "{}", server.describe());
    }
}

#[test]
fn a_background_download_that_was_killed_goes_on() {
    let server = Server::serve(PAYLOAD).rate(8 * MIB).start();
    let sandbox = Sandbox::new();
    let haul = || sandbox.haul().args(["--background", "--json"]).arg(server.url("/file.bin"));
    let running = haul().spawn();
    running.wait_for_durable(4 * MIB);
    running.kill();
    let outcome = haul().run();
    outcome.assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "file.bin");
    assert!(outcome.done_event()["resumed"].as_u64() >= Some(4 * MIB), "{outcome}");
}

#[test]
fn packets_of_a_background_download_are_marked_as_lower_effort() {
    let server = Server::serve(PAYLOAD).start();
    let sandbox = Sandbox::new();
    let trace = sandbox.root().join("trace");
    let wrapper = ["strace", "-f", "-e", "trace=setsockopt", "-o", trace.to_str().unwrap()];
    if !strace_works() {
        return;
    }
    sandbox.haul().arg("--background").arg(server.url("/file.bin")).under(wrapper).run().assert_ok();
    let calls = std::fs::read_to_string(&trace).unwrap();
    let marked = calls.lines().filter(|line| line.contains("IP_TOS")).count();
    let clamped = calls.lines().filter(|line| line.contains("TCP_WINDOW_CLAMP")).count();
    assert!(marked >= 2 && clamped >= marked, "{calls}");
}
