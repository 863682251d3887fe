#!/usr/bin/env python3
"""Records haul at work in a real terminal and writes docs/screen.svg.

    cargo build --release && python3 docs/screen.py target/release/haul docs/screen.svg

It serves a file itself, on connections of 3 MB/s each, kills the first run with Ctrl-C and looks at the second one. Needs tmux.
"""
import hashlib, html, http.server, os, re, subprocess, sys, tempfile, threading, time

COLUMNS, ROWS = 112, 12
SIZE, RATE = 160 << 20, 3_000_000
COLOURS = {30: "#3b4252", 31: "#e06c75", 32: "#98c379", 33: "#e5c07b", 34: "#61afef", 35: "#c678dd", 36: "#56b6c2", 37: "#d8dee9",
           90: "#7f8ea3", 91: "#e06c75", 92: "#98c379", 93: "#e5c07b", 94: "#61afef", 95: "#c678dd", 96: "#56b6c2", 97: "#ffffff"}


def payload(offset, length):
    """Bytes of which no two places look alike: each eight state their place."""
    first = offset // 8
    block = b"".join((place * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8, "big") for place in range(first, (offset + length) // 8 + 1))
    return block[offset - first * 8:][:length]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        start, end = (int(asked[1]), min(int(asked[2] or SIZE - 1), SIZE - 1)) if asked else (0, SIZE - 1)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - start + 1))
        self.send_header("ETag", '"version-1"')
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{SIZE}")
        self.end_headers()
        if self.command == "HEAD":
            return
        began, sent = time.monotonic(), 0
        while start + sent <= end:
            piece = payload(start + sent, min(64 << 10, end + 1 - start - sent))
            try:
                self.wfile.write(piece)
            except OSError:
                return
            sent += len(piece)
            time.sleep(max(0, began + sent / RATE - time.monotonic()))

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def tmux(*words):
    return subprocess.run(["tmux", "-L", "haul-screen", *words], check=True, capture_output=True, text=True).stdout


def screen(escapes=False):
    return tmux("capture-pane", "-p", *(["-e"] if escapes else []), "-t", "screen").rstrip("\n").split("\n")


def wait_for(pattern):
    deadline = time.monotonic() + 60
    while not re.search(pattern, "\n".join(screen())):
        if time.monotonic() > deadline:
            sys.exit(f"{pattern!r} does not appear:\n" + "\n".join(screen()))
        time.sleep(0.05)


def spans(line):
    """The runs of one line, each with its colour and weight."""
    fill, bold, out = "#d8dee9", False, []
    for text, codes in re.findall(r"([^\x1b]+)|\x1b\[([\d;]*)m", line):
        if text:
            weight = ' font-weight="bold"' if bold else ""
            out.append(f'<tspan fill="{fill}"{weight}>{html.escape(text)}</tspan>')
            continue
        for code in (int(code or 0) for code in codes.split(";")):
            if code == 0:
                fill, bold = "#d8dee9", False
            elif code == 1:
                bold = True
            elif code in (22, 39):
                fill, bold = ("#d8dee9", bold) if code == 39 else (fill, False)
            else:
                fill = COLOURS.get(code, fill)
    return "".join(out)


def svg(lines):
    width, height = COLUMNS * 8.43 + 32, ROWS * 19 + 52
    rows = "".join(f'<text x="16" y="{50 + nth * 19}" xml:space="preserve">{spans(line)}</text>\n' for nth, line in enumerate(lines))
    dots = "".join(f'<circle cx="{20 + nth * 18}" cy="18" r="6" fill="{colour}"/>' for nth, colour in enumerate(["#e06c75", "#e5c07b", "#98c379"]))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
            'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">\n'
            f'<rect width="100%" height="100%" rx="8" fill="#20252e"/>\n{dots}\n{rows}</svg>\n')


def main(haul, target):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    digest = hashlib.sha256()
    for offset in range(0, SIZE, 1 << 20):
        digest.update(payload(offset, 1 << 20))
    with tempfile.TemporaryDirectory() as home:
        bin_dir = os.path.join(home, "bin")
        os.mkdir(bin_dir)
        os.symlink(os.path.abspath(haul), os.path.join(bin_dir, "haul"))
        command = f"haul http://127.0.0.1:{server.server_port}/disk.img --sha256 $SUM"
        environment = ["env", "-i", f"HOME={home}", f"PATH={bin_dir}:/usr/bin:/bin", "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PS1=$ ",
                       f"SUM={digest.hexdigest()}", "bash", "--norc", "--noprofile"]
        tmux("-f", "/dev/null", "new-session", "-d", "-s", "screen", "-x", str(COLUMNS), "-y", str(ROWS), "-c", home, *environment)
        try:
            tmux("set-option", "-g", "status", "off")
            tmux("send-keys", "-t", "screen", command, "Enter")
            wait_for(r"(?m) 3\d ?%|[ (]3\d%")
            tmux("send-keys", "-t", "screen", "C-c")
            wait_for(r"(?m)^\$ *$")
            tmux("send-keys", "-t", "screen", "# the same command again", "Enter", command, "Enter")
            wait_for(r"(?m) 7\d ?%|[ (]7\d%")
            lines = screen(escapes=True)
        finally:
            tmux("kill-server")
    with open(target, "w") as out:
        out.write(svg(lines))


if __name__ == "__main__":
    main(*sys.argv[1:3])
