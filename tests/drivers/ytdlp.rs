//! yt-dlp with haul as its aria2c.

use crate::support::*;
use crate::{haul, is_there, packages, run, run_well};
use std::fs;
use std::process::Command;

const PAYLOAD: Payload = Payload::mib(372, 4);

#[test]
fn yt_dlp_downloads_with_it_and_goes_on_after_an_interruption() {
    let python = packages("python");
    if !is_there("yt-dlp", python.as_ref().is_some_and(|path| path.join("yt_dlp").is_dir())) {
        return;
    }
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).unwrap();
    run_well(Command::new(haul()).arg("link-aria2c").arg(sandbox.path("bin")));
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let ytdlp = |url: &str, name: &str| {
        let mut command = Command::new("python3");
        command
            .args([
                "-m",
                "yt_dlp",
                "--no-update",
                "--downloader",
                "aria2c",
                "--downloader-args",
                "aria2c:-m2",
            ])
            .args(["-o", &format!("{name}.%(ext)s"), url])
            .current_dir(sandbox.work())
            .env("PYTHONPATH", python.as_ref().unwrap())
            .env("HOME", sandbox.home())
            .env("PATH", &path);
        command
    };
    let server = Server::serve(Resource::of(PAYLOAD).content_type("video/mp4")).start();
    // The connection breaks half-way, and stays broken.
    server.behave_with(|request, number| match number {
        0..2 => Reply::Normal,
        _ if request.is_get() => Reply::Ends(Ending::Close(MIB)),
        _ => Reply::Normal,
    });
    let (code, said) = run(&mut ytdlp(&server.url("/v.mp4"), "video"));
    if code != Some(0) {
        server.recover();
        run_well(&mut ytdlp(&server.url("/v.mp4"), "video"));
    }
    PAYLOAD.assert_file_is(&sandbox.path("video.mp4"));
    assert!(!sandbox.path("video.mp4.part.haul").exists(), "{said}");
    let missing = Server::serve(PAYLOAD)
        .behave(
            |request, number| {
                if number < 2 && !request.is_head() { Reply::Normal } else { Reply::Status(404) }
            },
        )
        .start();
    let (code, said) = run(&mut ytdlp(&missing.url("/w.mp4"), "missing"));
    assert_ne!(code, Some(0), "{said}");
}
