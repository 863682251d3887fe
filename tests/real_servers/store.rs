//! Stores that speak the protocol of S3: moto, which is what people test against, and s3s-fs, which verifies signatures.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::listening::{Writes, free_port, wait_until_listening};
use crate::server::did_not_run;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Moto,
    S3sFs,
}

pub(crate) const STORES: [Kind; 2] = [Kind::Moto, Kind::S3sFs];

/// A running store with the bucket `bucket`, and a home for haul.
pub(crate) struct Store {
    child: Child,
    port: u16,
    dir: TempDir,
}

/// Where the gate puts them.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/stores")
}

impl Store {
    /// `None`, reported on stderr, if it is not installed and need not be.
    pub(crate) fn start(kind: Kind) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("haul-store-").tempdir().expect("a directory");
        let (port, home) = (free_port(), installed());
        let data = dir.path().join("data");
        for directory in ["data/bucket", "home", "log"] {
            fs::create_dir_all(dir.path().join(directory)).expect("a directory");
        }
        let (program, name) = match kind {
            Kind::Moto => (home.join("python/moto"), "moto"),
            Kind::S3sFs => (home.join("bin/s3s-fs"), "s3s-fs"),
        };
        if !program.exists() {
            did_not_run(name, "as .ci/run does");
            return None;
        }
        let mut command = match kind {
            Kind::Moto => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", home.join("python")).env("PYTHONUNBUFFERED", "1");
                command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
                command
            }
            Kind::S3sFs => {
                let mut command = Command::new(program);
                command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
                command.args(["--access-key", "AKIDTEST", "--secret-key", "S3CRETKEY"]).arg(&data);
                command
            }
        };
        let writes = Writes::in_directory(&dir.path().join("log")).expect("a watch");
        let log = fs::File::create(dir.path().join("log/said")).expect("a log");
        let said = log.try_clone().expect("a log");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        wait_until_listening(&mut child, port, &writes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let store = Self { child, port, dir };
        if matches!(kind, Kind::Moto) {
            store.make_bucket();
        }
        Some(store)
    }

    fn make_bucket(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let request =
            "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The program in the home of this store, with its address and keys.
    pub(crate) fn haul(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
        command
            .env_clear()
            .env("HOME", self.dir.path().join("home"))
            .env("LC_ALL", "C")
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", "S3CRETKEY")
            .args(["--no-config", "--json"])
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Parts of unfinished uploads that haul has recorded.
    pub(crate) fn recorded_parts(&self) -> usize {
        let uploads = self.dir.path().join("home/.local/state/haul/uploads");
        let Ok(entries) = fs::read_dir(uploads) else { return 0 };
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        texts.map(|text| text.matches("{\"part\":").count()).sum()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
