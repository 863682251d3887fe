"""Measures the programs of this directory beside the usual ways in their languages, and writes docs/languages.md's table to stdout.

    cargo build --release && python3 examples/measure.py PACKAGES [ROUNDS]

PACKAGES is a directory with the packages of PyPI (`python`) and npm (`node_modules`), as the gate makes it in target/clients. Needs nginx,
python3, java and node. 5,000 files of 16 KiB and 10 of 100 MB come over loopback; the files of a round are removed after it.
"""
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

here = Path(__file__).resolve().parent
packages = Path(sys.argv[1]).resolve()
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
work = Path(tempfile.mkdtemp(dir="/dev/shm"))
work.chmod(0o755)
(work / "www").mkdir()
(work / "out").mkdir()
lists = {}
for name, count, size in (("5,000 × 16 KiB", 5000, 16 << 10), ("10 × 100 MB", 10, 100_000_000)):
    for number in range(count):
        with open(work / "www" / f"{count}-{number}", "wb") as file:
            file.write(os.urandom(16 << 10))
            file.truncate(size)
    lists[name] = [f"http://127.0.0.1:8097/{count}-{number}" for number in range(count)]
(work / "nginx.conf").write_text(
    f"worker_processes 2; pid {work}/pid; error_log {work}/error; events {{ worker_connections 1024; }}\n"
    f"http {{ access_log off; sendfile on; keepalive_requests 100000; server {{ listen 127.0.0.1:8097 backlog=1024; root {work}/www; }} }}\n")
(work / "node_modules").symlink_to(packages / "node_modules")
shutil.copy(here / "original/axios_download.cjs", work)
subprocess.run(["javac", "-d", work, here / "original/ExecutorDownload.java", here / "Download.java"], check=True)
server = subprocess.Popen(["nginx", "-p", work, "-c", work / "nginx.conf", "-g", "daemon off;"], stderr=subprocess.DEVNULL)
time.sleep(1)
haul = os.environ.get("HAUL", str(here.parent / "target/release/haul"))
env = {**os.environ, "HAUL": haul, "PYTHONPATH": str(packages / "python")}
try:
    print("| list | program | wall s, median | CPU s | ÷ the usual way |\n|---|---|---:|---:|---:|")
    for name, urls in lists.items():
        (work / "list").write_text("\n".join(urls) + "\n")
        ours = [str(work / "out"), *urls]
        usual = [str(work / "out"), str(work / "list")]
        arms = {
            "Python: aiohttp": ["python3", here / "original/aiohttp_download.py", *usual],
            "Python: examples/download.py": ["python3", here / "download.py", *ours],
            "Java: ExecutorService and HttpClient": ["java", "-cp", work, "ExecutorDownload", *usual],
            "Java: examples/Download.java": ["java", "-cp", work, "Download", *ours],
            "Node.js: axios": ["node", work / "axios_download.cjs", *usual],
            "Node.js: examples/download.mjs": ["node", here / "download.mjs", *ours],
        }
        times = {arm: [] for arm in arms}
        for _ in range(rounds):
            for arm, command in arms.items():
                before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
                subprocess.run([str(word) for word in command], env=env, stdout=subprocess.DEVNULL, check=True)
                wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                saved = sorted(path.stat().st_size for path in (work / "out").iterdir())
                assert len(saved) == len(urls) and saved[0] == saved[-1], f"{arm} saved {len(saved)} files"
                times[arm].append((wall, cpu))
                shutil.rmtree(work / "out")
                (work / "out").mkdir()
        base = 1.0
        for index, (arm, seen) in enumerate(times.items()):
            wall, cpu = (statistics.median(values) for values in zip(*seen))
            base = wall if index % 2 == 0 else base
            print(f"| {name} | {arm} | {wall:.2f} | {cpu:.2f} | {wall / base:.2f} |", flush=True)
finally:
    server.terminate()
    shutil.rmtree(work)
