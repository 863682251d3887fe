//! Examples of each command, for its help and its page of the manual.

use super::exit;

/// A command line and its effect.
pub(super) type Example = (&'static str, &'static str);

const EXAMPLES: &[Example] = &[
    (
        "haul https://example.org/disk.img",
        "save disk.img here; the same command resumes after any interruption",
    ),
    ("haul https://example.org/disk.img --sha256 HEX", "and only if it has this digest"),
    (
        "haul https://example.org/a.iso --checksum-file https://example.org/SHA256SUMS",
        "take the digest from a list",
    ),
    (
        "haul https://example.org/disk.img --minisign key.pub",
        "and only if disk.img.minisig is a signature by this key",
    ),
    ("haul -i list.txt -d downloads -j 4", "everything in a list, four files at once"),
    (
        "haul https://example.org/a.iso --mirror https://mirror.example.net/a.iso --sha256 HEX",
        "from two servers",
    ),
    ("haul https://example.org/src.tar.gz -o - | tar -xz", "into a pipe, in order"),
    ("haul https://example.org/private.img -u @login.txt", "with credentials that are in a file"),
    ("haul --json https://example.org/disk.img", "events for a script, one JSON object a line"),
];

/// Examples of a command.
pub(super) fn examples(command: &str) -> &'static [Example] {
    match command {
        "haul" => EXAMPLES,
        "info" => &[
            (
                "haul info https://example.org/disk.img",
                "length, ranges, validator, proofs, redirects, protocol, what an earlier run left",
            ),
            ("haul info --metalink disk.img.meta4", "the same of each file of a document, and its mirrors"),
            ("haul info --json https://example.org/disk.img", "the same for a script"),
        ],
        "status" => &[
            ("haul status", "every unfinished download here"),
            ("haul status disk.img", "one of them: whether it is running, and the command that goes on"),
        ],
        "verify" => &[
            ("haul verify disk.img --sha256 HEX", "does the file have this digest?"),
            ("haul verify disk.img --minisign key.pub", "is disk.img.minisig its signature by this key?"),
            ("haul verify disk.img", "are the recorded bytes of an unfinished one still intact?"),
            ("haul verify --repair disk.img", "fetch again what is not, and go on with the rest"),
            (
                "haul verify --metalink disk.img.meta4",
                "do the files of a document have its digests and pieces?",
            ),
            (
                "haul verify --repair disk.img --url https://example.org/disk.img --sha256 HEX",
                "fetch a complete file again if it is not right, and replace it once the new one is proven",
            ),
            (
                "haul verify --repair disk.img --metalink disk.img.meta4",
                "of a complete file fetch only the wrong pieces",
            ),
        ],
        "pieces" => &[(
            "haul pieces disk.img --url https://example.org/disk.img > disk.img.meta4",
            "publish it beside the file",
        )],
        "resume" => {
            &[("haul resume", "go on with everything unfinished here"), ("haul resume /data", "or there")]
        }
        "add" => &[
            (
                "haul add https://example.org/model.bin",
                "fetch it, and lock its size and its SHA-256 in haul.lock",
            ),
            ("haul add https://example.org/model.bin -o models/m.bin", "into a directory beside the lock"),
        ],
        "sync" => &[
            ("haul sync", "fetch what is missing; what is there is not fetched again"),
            ("haul sync --frozen", "the same where the lock may not change, as in CI"),
            ("haul sync --offline /mnt/store", "without a network"),
        ],
        "config" => &[
            (
                "haul config",
                "each value, and whether it is from a flag, the environment, the file, or the default",
            ),
            ("haul config --json", "the same for a script"),
            ("haul config --check", "only look for mistakes in the file, and in the files that it names"),
        ],
        "serve" => &[
            (
                "haul serve --root /srv/downloads",
                "a daemon on 127.0.0.1:6800, for aria2's clients and for the page there",
            ),
            (
                "haul serve --listen 127.0.0.1:6801 --allow-origin https://ariang.example",
                "for a page of another site too",
            ),
        ],
        "ctl" => &[
            ("haul ctl add https://example.org/disk.img", "give the daemon a job; its identifier is printed"),
            ("haul ctl watch", "list the jobs each second until all have ended"),
            ("haul ctl limit 5M", "limit all jobs together"),
        ],
        "submit" => &[
            (
                "haul submit --nats nats://queue.example list.txt",
                "each file of the list becomes a job; again within the hour it adds nothing",
            ),
            (
                "haul submit --nats tls://queue.example --creds me.creds list.jsonl",
                "over TLS, with credentials",
            ),
        ],
        "worker" => &[
            (
                "haul worker --nats nats://queue.example -d /data",
                "take jobs until SIGTERM, which hands back what is not done",
            ),
            (
                "haul worker --nats nats://queue.example -d /data --until-empty --per-host 4",
                "end with the queue; four jobs of one host at once, over all workers",
            ),
        ],
        "fleet" => &[(
            "haul fleet status --nats nats://queue.example",
            "how many jobs wait, run and are done, and who is at work",
        )],
        "aria2c" => &[
            ("haul aria2c -x16 -s16 -c https://example.org/disk.img", "as aria2c would, with its exit codes"),
            ("haul aria2c --enable-rpc --rpc-secret=SECRET -d downloads", "the same as haul serve"),
        ],
        "apt-method" => &[(
            "echo 'Dir::Bin::Methods::http \"/usr/local/bin/haul-apt-method\";' > /etc/apt/apt.conf.d/90haul",
            "with a link of that name to haul, apt fetches with it",
        )],
        "lfs-agent" => {
            &[("haul lfs-agent", "what git-lfs runs, as docs/drivers.md says, to fetch large files")]
        }
        "link-aria2c" => &[("haul link-aria2c ~/bin", "programs that look for aria2c find haul")],
        "rm" => &[("haul rm disk.img", "remove disk.img.part and disk.img.haul; a finished file stays")],
        "completions" => &[(
            "haul completions bash > ~/.local/share/bash-completion/completions/haul",
            "complete flags, policies and the hosts of the configuration in bash",
        )],
        "man" => &[
            ("haul man | man -l -", "read the page of the program"),
            ("haul man status | man -l -", "read the page of a command"),
            ("haul man --dir ~/.local/share/man/man1", "write all pages"),
        ],
        _ => &[],
    }
}

/// Text at the end of the program's help.
pub(super) fn after_help() -> String {
    format!("{}\n\n{}", examples_text("haul"), exit::TABLE)
}

/// Examples of a command, formatted for its help.
pub(super) fn examples_text(command: &str) -> String {
    let lines = examples(command).iter().map(|(line, does)| format!("  {line}\n      {does}"));
    format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
