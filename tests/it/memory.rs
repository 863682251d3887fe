//! Memory of hosts, from one run to the next.

use crate::support::*;

const PAYLOAD: Payload = Payload::mib(311, 64);

fn haul(sandbox: &Sandbox, server: &Server, name: &str) -> Haul {
    sandbox.haul().arg("--json").args(["-o", name]).env("HOME", sandbox.home()).arg(server.url("/file.bin"))
}

fn book(sandbox: &Sandbox) -> Option<String> {
    std::fs::read_to_string(sandbox.home().join(".local/state/haul/hosts")).ok()
}

/// Number of GETs that came before the first bytes of the second MiB had left: those of the first moment.
fn connections_at_once(server: &Server) -> usize {
    server.log().gets().map(|get| get.connection).collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn a_second_run_begins_with_the_connections_that_paid_in_the_first() {
    let server = Server::serve(PAYLOAD).rate(2 * MIB).start();
    let sandbox = Sandbox::new();
    let first = haul(&sandbox, &server, "one").run();
    first.assert_ok();
    assert!(connections_at_once(&server) > 4, "{}", server.describe());
    let text = book(&sandbox).expect("a book of hosts");
    assert!(!text.contains("127.0.0.1") && text.contains("connections"), "{text}");
    server.forget();

    // The second file waits after its first bytes: whoever has asked by then was begun with.
    let gate = Gate::after(MIB);
    server.set_gate(Some(&gate));
    let running = haul(&sandbox, &server, "two").spawn();
    gate.wait_for_waiting(5);
    gate.open();
    running.wait().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "two");

    // Without memory it begins with few.
    server.forget();
    let gate = Gate::shut();
    server.set_gate(Some(&gate));
    let before = book(&sandbox);
    let running = haul(&sandbox, &server, "three").arg("--no-memory").spawn();
    gate.wait_for_waiting(2);
    assert!(server.log().gets().count() <= 2, "{}", server.describe());
    gate.open();
    running.wait().assert_ok();
    assert_eq!(book(&sandbox), before);
}

#[test]
fn a_number_of_connections_that_was_refused_is_not_tried_again_by_the_next_run() {
    let busy = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::serve(PAYLOAD).rate(24 * MIB).start();
    let theirs = busy.clone();
    server.handle_with(move |request, exchange| {
        use std::sync::atomic::Ordering::SeqCst;
        if !request.is_get() {
            return exchange.serve();
        }
        if theirs.fetch_add(1, SeqCst) >= 1 {
            exchange.status(429);
        } else {
            exchange.serve();
        }
        theirs.fetch_sub(1, SeqCst);
    });
    let sandbox = Sandbox::new();
    haul(&sandbox, &server, "one").run().assert_ok();
    assert!(server.log().with_status(429) >= 1, "{}", server.describe());
    server.forget();
    haul(&sandbox, &server, "two").run().assert_ok();
    sandbox.assert_ok_file(&PAYLOAD, "two");
    assert_eq!(server.log().with_status(429), 0, "{}", server.describe());
    // A number that the user gives is tried all the same.
    haul(&sandbox, &server, "three").args(["-x", "3"]).run().assert_ok();
    assert!(server.log().with_status(429) >= 1, "{}", server.describe());
}

#[test]
fn a_server_that_refuses_head_is_not_asked_it_again_while_it_serves_ranges() {
    let server = Server::serve(PAYLOAD).rate(8 * MIB).start();
    server.handle_with(
        |request, exchange| {
            if request.is_head() { exchange.status(405) } else { exchange.serve() }
        },
    );
    let sandbox = Sandbox::new();
    haul(&sandbox, &server, "one").run().assert_ok();
    assert_eq!(server.heads().len(), 1, "{}", server.describe());
    server.forget();
    haul(&sandbox, &server, "two").run().assert_ok();
    assert_eq!(server.heads().len(), 0, "{}", server.describe());
}

#[test]
fn a_book_that_is_damaged_hostile_or_cannot_be_written_changes_nothing_of_a_download() {
    let server = Server::serve(PAYLOAD).start();
    for text in ["", "no book", "{\"version\":1}", &"9".repeat(3 << 20)] {
        let sandbox = Sandbox::new();
        std::fs::create_dir_all(sandbox.home().join(".local/state/haul")).unwrap();
        std::fs::write(sandbox.home().join(".local/state/haul/hosts"), text).unwrap();
        let outcome = haul(&sandbox, &server, "file").run();
        outcome.assert_ok();
        sandbox.assert_ok_file(&PAYLOAD, "file");
        assert!(!outcome.said().contains("warning"), "{outcome}");
    }
    // State is a file, where a directory should be.
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.home().join(".local")).unwrap();
    std::fs::write(sandbox.home().join(".local/state"), "").unwrap();
    let outcome = haul(&sandbox, &server, "file").run();
    outcome.assert_ok();
    assert!(!outcome.said().contains("warning"), "{outcome}");
}

#[test]
fn the_configuration_can_say_that_nothing_is_remembered() {
    let server = Server::serve(PAYLOAD).rate(8 * MIB).start();
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.home().join(".config/haul")).unwrap();
    std::fs::write(sandbox.home().join(".config/haul/config.toml"), "no-memory = true\n").unwrap();
    haul(&sandbox, &server, "file").run().assert_ok();
    assert_eq!(book(&sandbox), None);
}
