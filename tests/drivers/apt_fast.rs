//! apt-fast's download command, run as apt-fast does: Debian has no apt-fast.

use crate::support::*;
use crate::{haul, run, run_well};
use std::fs;
use std::process::Command;

const PAYLOAD: Payload = Payload::mib(393, 2);

/// The line of the document, run on a list in the directory for packages, with haul under the name of aria2c.
fn download(sandbox: &Sandbox, list: &str) -> (Option<i32>, String) {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/drivers.md")).unwrap();
    let line = text.lines().find(|line| line.starts_with("_DOWNLOADER=")).unwrap();
    sandbox.write("list", list);
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    run(Command::new("bash")
        .args(["-c", &format!("_MAXNUM=5 DLLIST=../list\n{line}\neval \"${{_DOWNLOADER}}\"")])
        .current_dir(sandbox.path("debs"))
        .env("HOME", sandbox.home())
        .env("PATH", path))
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).unwrap();
    fs::create_dir(sandbox.path("debs")).unwrap();
    run_well(Command::new(haul()).arg("link-aria2c").arg(sandbox.path("bin")));
    sandbox
}

#[test]
fn apt_fast_downloads_its_packages_from_several_mirrors_if_their_digests_are_known() {
    let (one, other) = (Server::serve(PAYLOAD).start(), Server::serve(PAYLOAD).start());
    let sandbox = sandbox();
    let list = format!(
        "# two packages\n{}\t{}\n out=a_1%3a2_all.deb\n checksum=sha-256={}\n{}\t{}\n out=b.deb\n",
        one.url("/pool/a.deb"),
        other.url("/pool/a.deb"),
        PAYLOAD.sha256_hex(),
        one.url("/pool/b.deb"),
        other.url("/pool/b.deb"),
    );
    let (code, said) = download(&sandbox, &list);
    assert_eq!(code, Some(0), "{said}");
    for name in ["a_1%3a2_all.deb", "b.deb"] {
        PAYLOAD.assert_file_is(&sandbox.path("debs").join(name));
    }
    // Without a digest nothing shows that both mirrors have the same package.
    assert!(other.requests().iter().all(|request| request.path() == "/pool/a.deb"), "{}", other.describe());
    // A package that is there already is not fetched again.
    one.forget();
    let (code, said) = download(&sandbox, &list);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(one.body_bytes(), 0, "{}", one.describe());
}

#[test]
fn apt_fast_hears_of_a_missing_package_and_of_a_wrong_digest_and_has_the_others() {
    let server = Server::serve(PAYLOAD)
        .behave(|request, _| if request.path().contains("gone") { Reply::Status(404) } else { Reply::Normal })
        .start();
    for (wrong, code) in [
        (format!("{}\n out=gone.deb\n", server.url("/gone.deb")), 3),
        (format!("{}\n out=bad.deb\n checksum=sha-256={}\n", server.url("/bad.deb"), "0".repeat(64)), 32),
    ] {
        let sandbox = sandbox();
        let list = format!("{wrong}{}\n out=good.deb\n", server.url("/good.deb"));
        let (ended, said) = download(&sandbox, &list);
        assert_eq!(ended, Some(code), "{said}");
        PAYLOAD.assert_file_is(&sandbox.path("debs/good.deb"));
        assert!(!sandbox.path("debs/bad.deb").exists() && !sandbox.path("debs/gone.deb").exists());
    }
}
