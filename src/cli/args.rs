//! The arguments, as clap parses them. Meaning is given to them in [`super::setup`].

use super::base::Base;
use super::examples;
#[cfg(feature = "fleet")]
use super::fleet_options::{FleetCommand, SubmitOptions, WorkerOptions, of_a_worker};
use super::host_rules::HostRule;
use super::s3_flags::{S3Options, Uploads};
use super::values::{connections, interface, pin, resolve, shard, some_time, split_size, url, user_agent};
use crate::formats::shard::Shard;
use crate::formats::size::{parse_duration, parse_size};
use crate::{IfExists, Interface, PublicKeyPin, Resolve};
use clap::CommandFactory as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version with what the program is made of.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nfeatures: command line, daemon (aria2's JSON-RPC), HTTP/1.1, HTTP/2 for many small files",
    "\nTLS: rustls with ring, roots of the platform",
);

/// Download large files fast, over many connections; resume after any interruption; verify.
///
/// Each URL becomes a file of its own. Resuming needs no flag: run the same command again.
#[derive(Debug, Parser)]
#[command(name = "haul", version, long_version = LONG_VERSION, after_help = examples::after_help(), args_conflicts_with_subcommands = true, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// URLs to download: http://, https:// or s3://
    #[arg(value_name = "URL", value_parser = url())]
    pub(super) urls: Vec<String>,
    #[command(flatten)]
    pub(super) options: Options,
}

impl Cli {
    /// Options of the command, if it has those of a download.
    pub(super) fn options(&self) -> Option<&Options> {
        match &self.command {
            None => Some(&self.options),
            Some(
                Command::Info { options, .. }
                | Command::Verify { options, .. }
                | Command::Resume { options, .. }
                | Command::Config { options, .. }
                | Command::Add { options, .. }
                | Command::Sync { options, .. }
                | Command::Serve { options, .. },
            ) => Some(&**options),
            #[cfg(feature = "fleet")]
            Some(Command::Worker { options, .. }) => Some(&**options),
            Some(_) => None,
        }
    }

    /// Colour mode that the flags ask for.
    pub(super) fn colour(&self) -> When {
        self.options().and_then(|options| options.color).unwrap_or_default()
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask the server about a URL without fetching it
    #[command(after_help = examples::examples_text("info"))]
    Info {
        #[arg(value_name = "URL", required_unless_present = "metalink", value_parser = url())]
        urls: Vec<String>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Show unfinished downloads: of a file, or of all in a directory
    #[command(after_help = examples::examples_text("status"))]
    Status {
        #[arg(value_name = "PATH", default_value = ".")]
        paths: Vec<PathBuf>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Check a file against a digest or a signature, or an unfinished one against its manifest
    #[command(after_help = examples::examples_text("verify"))]
    Verify {
        /// Files to check; without one every file that --checksum-file or --metalink names
        #[arg(value_name = "FILE", required_unless_present_any = ["checksum_file", "metalink"])]
        files: Vec<PathBuf>,
        /// Fetch what is damaged in an unfinished file again, and the rest with it; in a complete file the wrong pieces that --metalink
        /// shows, or all of it from --url
        #[arg(long)]
        repair: bool,
        /// Source for the repair of a complete file that has not the digest given beside it; the file is replaced once what comes is proven
        #[arg(long, value_name = "URL", requires = "repair", conflicts_with = "metalink", value_parser = url())]
        url: Option<String>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Write a Metalink document of a file of one's own: its digest, and those of its pieces
    #[command(after_help = examples::examples_text("pieces"))]
    Pieces {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// URL where it is published; may be repeated, the best first
        #[arg(long = "url", value_name = "URL")]
        urls: Vec<String>,
    },
    /// Go on with every unfinished download in a directory
    #[command(after_help = examples::examples_text("resume"))]
    Resume {
        /// Directories to search (default: here); a URL says that -H, -u and --bearer-file are for its server, whatever is in DIR
        #[arg(value_name = "DIR|URL")]
        places: Vec<OsString>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Take the place of aria2c: its flags, its exit codes
    #[command(disable_help_flag = true, after_help = examples::examples_text("aria2c"))]
    Aria2c {
        #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Be an acquire method of apt, which speaks to it on the standard input and output
    #[command(after_help = examples::examples_text("apt-method"))]
    AptMethod,
    /// Be a standalone transfer agent of git-lfs, which speaks to it on the standard input and output
    #[command(after_help = examples::examples_text("lfs-agent"))]
    LfsAgent,
    /// Make a link of the name aria2c to this program in DIR, for programs that look for one
    #[command(after_help = examples::examples_text("link-aria2c"))]
    LinkAria2c {
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Remove what an unfinished download left; finished files are never touched
    #[command(after_help = examples::examples_text("rm"))]
    Rm {
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Fetch files, and record in haul.lock where they come from and what they are
    #[command(after_help = examples::examples_text("add"))]
    Add {
        #[arg(value_name = "URL", required = true, value_parser = url())]
        urls: Vec<String>,
        #[command(flatten)]
        lock: LockOptions,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Bring a directory to what its haul.lock says: fetch what is missing, refuse what is another file
    #[command(after_help = examples::examples_text("sync"))]
    Sync {
        #[command(flatten)]
        sync: SyncOptions,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Show every value of the configuration, and where it comes from
    #[command(after_help = examples::examples_text("config"))]
    Config {
        /// Only check the file, and the files that it names
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Run a daemon that other programs drive by aria2's JSON-RPC, with a page of its own
    #[command(after_help = examples::examples_text("serve"))]
    Serve {
        #[command(flatten)]
        serve: ServeOptions,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Drive a running daemon
    #[command(after_help = examples::examples_text("ctl"))]
    Ctl(Ctl),
    /// Add the files of lists to the queue of a fleet, on a NATS server
    #[cfg(feature = "fleet")]
    #[command(after_help = examples::examples_text("submit"))]
    Submit(Box<SubmitOptions>),
    /// Fetch what the queue of a fleet has, until it is told to stop
    #[cfg(feature = "fleet")]
    #[command(after_help = examples::examples_text("worker"), mut_arg("stream", of_a_worker))]
    Worker {
        #[command(flatten)]
        worker: WorkerOptions,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Look at a fleet
    #[cfg(feature = "fleet")]
    #[command(after_help = examples::examples_text("fleet"))]
    Fleet {
        #[command(subcommand)]
        command: FleetCommand,
    },
    /// Print a completion script
    #[command(after_help = examples::examples_text("completions"))]
    Completions {
        #[arg(required_unless_present = "hosts")]
        shell: Option<clap_complete::Shell>,
        /// Print the hosts that the configuration has tables for, as the scripts ask for them
        #[arg(long, conflicts_with = "shell")]
        hosts: bool,
    },
    /// Print a page of the manual, or write all of them
    #[command(after_help = examples::examples_text("man"))]
    Man {
        /// The page of this command, such as status, instead of the program's
        #[arg(value_name = "COMMAND", conflicts_with = "dir")]
        page: Option<String>,
        /// Write every page to DIR, which is created if it is missing
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// The lock.
#[derive(Args, Clone, Debug)]
pub(super) struct LockOptions {
    /// The lock; its files are saved beside it
    #[arg(long, value_name = "FILE", default_value = "haul.lock", help_heading = "Lock")]
    pub(super) lock: PathBuf,
}

/// Options of `haul sync`.
#[derive(Args, Clone, Debug)]
pub(super) struct SyncOptions {
    #[command(flatten)]
    pub(super) lock: LockOptions,
    /// Change nothing in the lock: each file has to have a size and a digest
    #[arg(long, help_heading = "Lock")]
    pub(super) frozen: bool,
    /// Take what is missing from DIR, where its name is the path in the lock or the SHA-256 in hexadecimal digits, and ask no server
    #[arg(long, value_name = "DIR", help_heading = "Lock")]
    pub(super) offline: Option<PathBuf>,
}

/// Options of the daemon.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeOptions {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6800", help_heading = "Daemon")]
    pub(super) listen: SocketAddr,
    /// Unix socket to listen on, which needs no secret [default: haul.sock in $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH", help_heading = "Daemon")]
    pub(super) socket: Option<PathBuf>,
    /// Directory that no job leaves; created if it is missing
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Daemon")]
    pub(super) root: PathBuf,
    /// File with the secret, of mode 0600 [default: one that is made once, in the directory of the state]
    #[arg(long, value_name = "FILE", help_heading = "Daemon")]
    pub(super) secret_file: Option<PathBuf>,
    /// The secret itself, as aria2c gets it.
    #[arg(skip)]
    pub(super) secret: Option<String>,
    /// Options of the daemon in place of aria2c.
    #[arg(skip)]
    pub(super) aria2: Option<super::aria2c::Serving>,
    /// Origin of a page of another site that may speak to the daemon, such as https://ariang.example; * for all; may be repeated
    #[arg(long, value_name = "ORIGIN", help_heading = "Daemon")]
    pub(super) allow_origin: Vec<String>,
    /// Host name by which requests may name the daemon, besides addresses and localhost; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Daemon")]
    pub(super) allow_host: Vec<String>,
    /// File that keeps the jobs over restarts [default: one in the directory of the state]
    #[arg(long, value_name = "FILE", help_heading = "Daemon")]
    pub(super) session: Option<PathBuf>,
}

/// `haul ctl`.
#[derive(Args, Clone, Debug)]
pub(super) struct Ctl {
    /// Socket of the daemon [default: haul.sock in $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH", global = true)]
    pub(super) socket: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: CtlCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum CtlCommand {
    /// Add a job for each URL, and print its identifier
    Add {
        #[arg(value_name = "URL", required = true, value_parser = url())]
        urls: Vec<String>,
        /// Name of the file, below the directory
        #[arg(long, value_name = "FILE")]
        out: Option<String>,
        /// Directory, below that of the daemon
        #[arg(long, value_name = "DIR")]
        dir: Option<String>,
        /// Let it wait until it is resumed
        #[arg(long)]
        paused: bool,
    },
    /// List the jobs
    List,
    /// List the jobs each second until none waits or runs
    Watch,
    /// Pause jobs, or all
    Pause {
        #[arg(value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Resume jobs, or all
    Resume {
        #[arg(value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Remove jobs, also ended ones; what has come stays on disk
    Remove {
        #[arg(value_name = "JOB", required = true)]
        jobs: Vec<String>,
    },
    /// Limit the rate of a job, or of all together; 0 for no limit
    Limit {
        #[arg(value_name = "RATE", value_parser = parse_size)]
        rate: u64,
        #[arg(value_name = "JOB")]
        job: Option<String>,
    },
    /// End the daemon; jobs that have not ended go on when it is started again
    Stop,
}

/// Digests that the file must have.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Digests {
    /// The SHA-256 that the file must have
    #[arg(long, value_name = "HEX")]
    pub(super) sha256: Option<String>,
    /// A digest that the file must have: sha256:HEX, sha-256=HEX or sha256-BASE64; also sha512, blake2b,
    /// blake3, sha1, md5; may be repeated
    #[arg(long, value_name = "SPEC")]
    pub(super) checksum: Vec<String>,
    /// Digests separated by blanks, as another program names them (Portage's DIGESTS); those of unknown functions are left out, and
    /// an empty text is none
    #[arg(long, value_name = "SPECS")]
    pub(super) digests: Option<String>,
    /// A file or URL that lists digests as sha256sum does: the one beside the file's name counts
    #[arg(long, value_name = "FILE|URL")]
    pub(super) checksum_file: Option<String>,
    /// Look for a list of digests beside the file on its server, such as NAME.sha256 or SHA256SUMS; fail if none names it
    #[arg(long, conflicts_with_all = ["sha256", "checksum", "digests", "checksum_file"])]
    pub(super) find_checksum: bool,
    /// Verify a signature of minisign, which must be of KEY: a public key (RW…), or a file with one. With --checksum-file or
    /// --find-checksum it is that of the list, LIST.minisig, else that of the file, URL.minisig
    #[arg(long, value_name = "KEY")]
    pub(super) minisign: Option<String>,
}

#[derive(Args, Clone, Debug, Default)]
pub(super) struct Options {
    /// Download what FILE lists: URLs, JSON objects, or a list of aria2's; - reads the standard input
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) input_file: Option<PathBuf>,
    /// Start each line of -i as soon as it comes, one file a line, instead of checking the whole list first; a wrong line fails alone
    #[arg(long, requires = "input_file", conflicts_with_all = ["metalink", "output", "adopt", "dry_run", "find_checksum"], help_heading = "Output")]
    pub(super) stream: bool,
    /// Download what a Metalink document lists, which is a file or a URL
    #[arg(long, value_name = "FILE|URL", help_heading = "Output")]
    pub(super) metalink: Option<String>,
    /// Save to FILE; - writes to the standard output, in order, and a device (/dev/null) is written to likewise; s3://BUCKET/KEY
    /// is an object
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(super) output: Option<PathBuf>,
    /// Save in DIR, which is created if it is missing, or below s3://BUCKET/PREFIX/
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub(super) dir: Option<PathBuf>,
    /// Policy for an existing file: auto succeeds if it is the wanted file [default: auto]
    #[arg(long, value_name = "POLICY", value_enum, env = "HAUL_IF_EXISTS", help_heading = "Output")]
    pub(super) if_exists: Option<Exists>,
    /// Take the file name from the server, made safe
    #[arg(long, help_heading = "Output")]
    pub(super) content_disposition: bool,
    /// Give the file the modification time that the server states
    #[arg(long, help_heading = "Output")]
    pub(super) remote_time: bool,
    /// Fetch only this part: A-B (both included), A- or -N, such as 0-499, 10M- or -5M; needs -o
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, help_heading = "Output")]
    pub(super) range: Option<String>,
    /// Go on from FILE, which curl, wget, a browser or aria2 has begun; its bytes are only read, and compared with the server, or
    /// proven by a digest. A FILE with the name of haul's own part file (NAME.part) is renamed to NAME.adopted
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) adopt: Option<PathBuf>,
    /// Fetch only this share of the URLs, I of N, counted from 1 or from 0; auto in a SLURM array, auto/N in an indexed job of Kubernetes
    #[arg(long, value_name = "I/N", value_parser = shard, help_heading = "Transfer")]
    pub(super) shard: Option<Shard>,
    /// Write what was not saved to FILE, as a list for -i
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) failed: Option<PathBuf>,
    /// The configuration has a directory.
    #[arg(skip)]
    pub(super) has_configured_dir: bool,
    /// Values of the configuration for some hosts.
    #[arg(skip)]
    pub(super) hosts: Vec<HostRule>,
    /// haul is called in place of aria2c.
    #[arg(skip)]
    pub(super) as_aria2: bool,
    /// A file of that name that another program has begun goes on, as with aria2c's --continue.
    #[arg(skip)]
    pub(super) goes_on: bool,
    /// Run CMD for each saved file, without a shell: {path}, {url} and {size} stand for the facts, also in $HAUL_PATH and so on
    #[arg(long, value_name = "CMD", help_heading = "Output")]
    pub(super) on_done: Option<String>,
    /// Run CMD for each failed download, likewise: {url}, {error}, {kind}, {code}
    #[arg(long, value_name = "CMD", help_heading = "Output")]
    pub(super) on_error: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long, help_heading = "Output")]
    pub(super) dry_run: bool,

    #[command(flatten)]
    pub(super) digests: Digests,
    /// Another source of the same file; may be repeated. Needs a digest
    #[arg(long, value_name = "URL", value_parser = url(), help_heading = "Transfer")]
    pub(super) mirror: Vec<String>,

    /// Do not ask the mirrors that the server names in its answer; they are asked only where a digest makes that safe
    #[arg(long, help_heading = "Transfer")]
    pub(super) no_find_mirrors: bool,

    /// Connections for each file: a number, or auto [default: auto]
    #[arg(short = 'x', long, value_name = "N", value_parser = connections, env = "HAUL_CONNECTIONS", help_heading = "Transfer")]
    pub(super) connections: Option<crate::Connections>,
    /// Files at once [default: 4, and up to 32 as long as they are small]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "HAUL_JOBS", help_heading = "Transfer")]
    pub(super) jobs: Option<u16>,
    /// Give no connection a smaller range, except to take over what a silent one leaves; K, M, G mean 1024 [default: 1M, and
    /// less to relieve a slow connection]
    #[arg(short = 'k', long, value_name = "SIZE", value_parser = split_size, env = "HAUL_MIN_SPLIT_SIZE", help_heading = "Transfer")]
    pub(super) min_split_size: Option<u64>,
    /// Bytes a second, of all files together; K, M, G mean 1024; 0 for no limit
    #[arg(long, value_name = "RATE", value_parser = parse_size, env = "HAUL_LIMIT_RATE", help_heading = "Transfer")]
    pub(super) limit_rate: Option<u64>,
    /// Yield to all other traffic on the line: fill an idle one, and take only what is left of a busy one
    #[arg(long, help_heading = "Transfer")]
    pub(super) background: bool,
    /// Refuse a file that is larger, before its first byte; give up one of no stated length once it is; 0 for no limit [default: none]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, env = "HAUL_MAX_SIZE", help_heading = "Transfer")]
    pub(super) max_size: Option<u64>,
    /// Discard what an earlier run left
    #[arg(long, conflicts_with = "no_restart", help_heading = "Transfer")]
    pub(super) restart: bool,
    /// If the file changed on the server: fail, and keep what is there, instead of starting over
    #[arg(long, help_heading = "Transfer")]
    pub(super) no_restart: bool,
    /// Failures in a row, with less than 64 KiB of new bytes in between, before giving up [default: 8, and five minutes once
    /// bytes have come]
    #[arg(long, value_name = "N", env = "HAUL_RETRY", help_heading = "Transfer")]
    pub(super) retry: Option<u32>,
    /// Time limit for failures in a row, such as 90s or 10m; no longer pause is made for a server that asks for one
    #[arg(long, value_name = "TIME", value_parser = parse_duration, env = "HAUL_RETRY_MAX_TIME", help_heading = "Transfer")]
    pub(super) retry_max_time: Option<Duration>,
    /// For connecting [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = some_time, env = "HAUL_CONNECT_TIMEOUT", help_heading = "Transfer")]
    pub(super) connect_timeout: Option<Duration>,
    /// From a request to its answer [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = some_time, env = "HAUL_FIRST_BYTE_TIMEOUT", help_heading = "Transfer")]
    pub(super) first_byte_timeout: Option<Duration>,
    /// A connection that delivers nothing for this long is replaced [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = some_time, env = "HAUL_STALL_TIMEOUT", help_heading = "Transfer")]
    pub(super) stall_timeout: Option<Duration>,
    /// Redirects to follow [default: 10]
    #[arg(long, value_name = "N", env = "HAUL_MAX_REDIRS", help_heading = "Transfer")]
    pub(super) max_redirs: Option<usize>,

    /// Send this header to the URL's own origin, and no other; @FILE reads headers from a file
    #[arg(short = 'H', long, value_name = "NAME: VALUE", help_heading = "Request")]
    pub(super) header: Vec<String>,
    /// The User-Agent
    #[arg(short = 'A', long, value_name = "TEXT", value_parser = user_agent, env = "HAUL_USER_AGENT", help_heading = "Request")]
    pub(super) user_agent: Option<String>,
    /// Name and password for the URL's own origin, told by Basic, or by Digest where the server asks for it; @FILE reads them
    /// from a file
    #[arg(short, long, value_name = "USER:PASSWORD", help_heading = "Request")]
    pub(super) user: Option<String>,
    /// A file with a bearer token for the URL's own origin
    #[arg(long, value_name = "FILE", conflicts_with = "user", help_heading = "Request")]
    pub(super) bearer_file: Option<PathBuf>,

    /// Take user names and passwords for the URLs' own hosts from ~/.netrc
    #[arg(long, conflicts_with = "netrc_file", help_heading = "Request")]
    pub(super) netrc: bool,
    /// The configuration says so: if there is one.
    #[arg(skip)]
    pub(super) netrc_if_there: bool,
    /// Keys that the configuration gave a value, where it may turn out only later that they make no sense, and their places.
    #[arg(skip)]
    pub(super) configured: Vec<(&'static str, String)>,
    /// The same from another file
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    pub(super) netrc_file: Option<PathBuf>,
    /// Send the cookies that FILE has for a URL; in the form of Netscape, as browsers export it. Nothing is written to it
    #[arg(short = 'b', long, value_name = "FILE", help_heading = "Request")]
    pub(super) load_cookies: Option<PathBuf>,

    #[command(flatten)]
    pub(super) s3: S3Options,
    /// Place in S3 that the downloads go to.
    #[arg(skip)]
    pub(super) uploads: Option<Uploads>,

    /// Run CMD in a shell when the server refuses a URL, which is in $HAUL_URL, and go on with the one that it prints
    #[arg(long, value_name = "CMD", help_heading = "Request")]
    pub(super) refresh_cmd: Option<String>,
    /// Go through this proxy: http, https, socks5 or socks5h, or HOST:PORT; @FILE reads its URL from a file. Without the flag
    /// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count; an empty URL means no proxy at all
    #[arg(long, value_name = "URL", help_heading = "Request")]
    pub(super) proxy: Option<String>,
    /// Hosts to reach without a proxy, separated by commas: names with all below them, *.corp, addresses, 10.0.0.0/8, each with
    /// a port or without; * for all
    #[arg(long, value_name = "LIST", help_heading = "Request")]
    pub(super) noproxy: Option<String>,

    /// Trust the certificates of this PEM file as well
    #[arg(long, value_name = "FILE", env = "HAUL_CACERT", help_heading = "Safety")]
    pub(super) cacert: Option<PathBuf>,
    /// Show the certificate of this PEM file to the URLs' own servers, if they ask for one
    #[arg(long, value_name = "FILE", help_heading = "Safety")]
    pub(super) cert: Option<PathBuf>,
    /// The key of that certificate, if it is not in the same file
    #[arg(long, value_name = "FILE", help_heading = "Safety")]
    pub(super) key: Option<PathBuf>,
    /// Do not verify TLS certificates (insecure: the server is not authenticated, unless its key is pinned)
    #[arg(long, help_heading = "Safety")]
    pub(super) insecure: bool,
    /// Accept only servers that have one of these public keys, also of the target of a redirect: sha256//BASE64, several with ; between
    /// them; may be repeated. It counts besides the certificate, and alone with --insecure
    #[arg(long, value_name = "PIN", value_delimiter = ';', value_parser = pin, help_heading = "Safety")]
    pub(super) pin: Vec<PublicKeyPin>,
    /// Follow redirects from https to http; credentials never follow
    #[arg(long, help_heading = "Safety")]
    pub(super) allow_downgrade: bool,

    /// Reach HOST on PORT at this address, whatever the name service says; may be repeated
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = resolve, help_heading = "Network")]
    pub(super) resolve: Vec<Resolve>,
    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = "Network")]
    pub(super) ipv4: bool,
    /// Use IPv6 addresses only
    #[arg(short = '6', long, help_heading = "Network")]
    pub(super) ipv6: bool,
    /// Begin connections at this address of the machine, or on this network device
    #[arg(long, value_name = "ADDRESS|NAME", value_parser = interface, env = "HAUL_INTERFACE", help_heading = "Network")]
    pub(super) interface: Option<Interface>,

    /// Neither use nor keep what runs learn of hosts: connections that paid, refusals, HEAD, address family
    #[arg(long, help_heading = "Network")]
    pub(super) no_memory: bool,

    /// Style of the progress display [default: auto]
    #[arg(long, value_name = "HOW", value_enum, env = "HAUL_PROGRESS", help_heading = "Screen")]
    pub(super) progress: Option<Style>,
    /// One JSON object for each event, on the standard output
    #[arg(long, help_heading = "Screen")]
    pub(super) json: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Screen")]
    pub(super) quiet: bool,
    /// Say more: redirects, addresses, protocols, every retry; -vv: the heads of requests and answers, without secrets
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Screen")]
    pub(super) verbose: u8,
    /// When to use colours [default: auto]
    #[arg(long, value_name = "WHEN", value_enum, env = "HAUL_COLOR", help_heading = "Screen")]
    pub(super) color: Option<When>,
    /// Do not read the configuration file
    #[arg(long, help_heading = "Screen")]
    pub(super) no_config: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Exists {
    /// Succeed if it is the wanted file, fail if not
    Auto,
    /// Succeed without looking
    Skip,
    /// Replace it once the new file is complete
    Overwrite,
    /// Save under another name
    Rename,
    /// Fail
    Error,
}

impl From<Exists> for IfExists {
    fn from(policy: Exists) -> Self {
        match policy {
            Exists::Auto => Self::Auto,
            Exists::Skip => Self::Skip,
            Exists::Overwrite => Self::Overwrite,
            Exists::Rename => Self::Rename,
            Exists::Error => Self::Error,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Style {
    /// A bar on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// A bar and a map of the connections
    Bar,
    /// A line now and then
    Plain,
    /// The same as --json
    Json,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    #[default]
    Auto,
    Always,
    Never,
}

impl Options {
    /// Directory of the run, as far as a list of what was not saved has to say it.
    pub(super) fn base(&self) -> Base {
        // That of the configuration is also that of the next run.
        let given = self.dir.as_deref().filter(|_| !self.configured.iter().any(|(key, _)| *key == "dir"));
        Base::of(given, self.has_configured_dir)
    }

    /// Returns true if events are asked for, one JSON object a line.
    pub(super) fn wants_json(&self) -> bool {
        self.json || self.progress == Some(Style::Json)
    }

    /// The place in the configuration, or the variable, that the value of a flag comes from; `None` for the command line.
    pub(super) fn origin_of(&self, key: &str) -> Option<String> {
        if let Some((_, place)) = self.configured.iter().find(|(configured, _)| *configured == key) {
            return Some(place.clone());
        }
        let variable = format!("HAUL_{}", key.to_ascii_uppercase());
        let value = std::env::var_os(&variable)?;
        let is_used = match key {
            "cacert" => self.cacert.as_deref() == Some(Path::new(&value)),
            "interface" => value.to_str().and_then(|text| interface(text).ok()) == self.interface,
            _ => false,
        };
        is_used.then_some(variable)
    }
}

/// Flags about the files of one run, which the daemon refuses: clients say that of each job.
const OF_ONE_RUN: [&str; 29] = [
    "adopt",
    "bearer_file",
    "checksum",
    "checksum_file",
    "content_disposition",
    "digests",
    "dir",
    "dry_run",
    "failed",
    "find_checksum",
    "header",
    "input_file",
    "load_cookies",
    "metalink",
    "minisign",
    "mirror",
    "netrc",
    "netrc_file",
    "on_done",
    "on_error",
    "output",
    "progress",
    "range",
    "refresh_cmd",
    "restart",
    "sha256",
    "shard",
    "stream",
    "user",
];

/// The command line. The help of the daemon leaves out what it has no use for.
pub(super) fn command() -> clap::Command {
    let without_files = |serve: clap::Command| {
        let ids = serve.get_arguments().map(|arg| arg.get_id().clone());
        let ids: Vec<_> = ids.filter(|id| OF_ONE_RUN.contains(&id.as_str())).collect();
        ids.into_iter().fold(serve, |serve, id| serve.mut_arg(id, |arg| arg.hide(true)))
    };
    Cli::command().mut_subcommand("serve", without_files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_the_daemon_has_no_flags_of_one_run() {
        let mut all = command();
        all.build();
        let serve = all.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string();
        for flag in ["--root", "--proxy", "--jobs", "--retry"] {
            assert!(help.contains(flag), "{flag}");
        }
        for flag in ["--mirror", "--sha256", "--output", "--on-done", "--header"] {
            assert!(!help.contains(flag), "{flag}");
        }
        let ids: Vec<_> = serve.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        assert!(OF_ONE_RUN.iter().all(|id| ids.contains(id)));
    }

    #[test]
    fn the_arguments_make_sense_to_clap() {
        Cli::command().debug_assert();
    }
}
