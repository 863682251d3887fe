//! apt with haul as its method for http.

use crate::support::*;
use crate::{haul, is_program, is_there, run, run_well};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Makes a package with some content, and an index that names it; returns the name of the package's file.
fn repository(directory: &Path) -> String {
    let tree = directory.join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::write(
        tree.join("DEBIAN/control"),
        "Package: of-haul\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: of a test\n",
    )
    .unwrap();
    fs::create_dir_all(tree.join("usr/share/of-haul")).unwrap();
    fs::write(tree.join("usr/share/of-haul/data"), Payload::mib(373, 2).all()).unwrap();
    let package = "of-haul_1.0_all.deb";
    run_well(Command::new("dpkg-deb").args(["-Znone", "--build"]).arg(&tree).arg(directory.join(package)));
    let bytes = fs::read(directory.join(package)).unwrap();
    let sum = run_well(Command::new("sha256sum").arg(directory.join(package)));
    let digest = sum.split(' ').next().unwrap();
    fs::write(
        directory.join("Packages"),
        format!(
            "Package: of-haul\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <n@example.org>\nFilename: ./{package}\n\
             Size: {}\nSHA256: {digest}\nDescription: of a test\n\n",
            bytes.len()
        ),
    )
    .unwrap();
    package.to_owned()
}

#[test]
fn apt_updates_and_downloads_with_it_and_refuses_a_wrong_digest() {
    if !is_there("apt", is_program("apt-get") && is_program("dpkg-deb")) {
        return;
    }
    let sandbox = Sandbox::new();
    let store = sandbox.path("store");
    fs::create_dir(&store).unwrap();
    let package = repository(&store);
    let root = store.clone();
    let server = Server::serve(Payload::new(1, 1))
        .handler(move |request, exchange| {
            let name = request.path().rsplit('/').next().unwrap_or_default();
            match fs::read(root.join(name)) {
                Ok(bytes) if !name.is_empty() => {
                    let mut answer = Answer::new(200);
                    answer.bytes(&bytes);
                    exchange.send(&answer);
                }
                _ => exchange.status(404),
            }
        })
        .start();
    let method = sandbox.path("haul-apt-method");
    symlink(haul(), &method).unwrap();
    for directory in ["lists/partial", "archives/partial", "state", "etc/apt.conf.d", "etc/preferences.d"] {
        fs::create_dir_all(sandbox.path(directory)).unwrap();
    }
    fs::write(sandbox.path("state/status"), "").unwrap();
    fs::write(sandbox.path("sources.list"), format!("deb [trusted=yes] {}/r ./\n", server.origin())).unwrap();
    let work = sandbox.work();
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        let here = |name: &str| work.join(name).display().to_string();
        for (option, value) in [
            ("Dir::Bin::Methods::http", method.display().to_string()),
            ("Dir::Etc::sourcelist", here("sources.list")),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::Etc::parts", here("etc/apt.conf.d")),
            ("Dir::State::lists", here("lists")),
            ("Dir::State::status", here("state/status")),
            ("Dir::State", here("state")),
            ("Dir::Cache::archives", here("archives")),
            ("Dir::Cache", here("state")),
            ("APT::Sandbox::User", String::new()),
            ("Acquire::Languages", "none".to_owned()),
            ("Acquire::Retries", "0".to_owned()),
        ] {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        command.args(arguments).current_dir(&work).env("HOME", sandbox.home()).env_remove("http_proxy");
        command
    };
    run_well(&mut apt(&["update"]));
    run_well(&mut apt(&["download", "of-haul"]));
    assert!(fs::read(sandbox.path(&package)).unwrap() == fs::read(store.join(&package)).unwrap());
    assert!(server.requests().iter().all(|request| request.header("user-agent").unwrap().contains("haul")));
    // A package that is not the published one.
    fs::remove_file(sandbox.path(&package)).unwrap();
    let mut bytes = fs::read(store.join(&package)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(store.join(&package), bytes).unwrap();
    let (code, said) = run(&mut apt(&["download", "of-haul"]));
    assert!(code != Some(0) && !sandbox.path(&package).exists(), "{said}");
    // One that is gone.
    fs::remove_file(store.join(&package)).unwrap();
    let (code, said) = run(&mut apt(&["download", "of-haul"]));
    assert!(code != Some(0) && said.contains("404"), "{said}");
}
