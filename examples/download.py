"""Downloads files through haul without blocking the event loop: python3 download.py DIR URL [SHA256] [URL [SHA256]]..."""
import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE


async def download(files, directory, on_event=lambda event: None, timeout=None):
    """Downloads `files`, each {"url": …} with "sha256" if it is known; returns the messages of those that failed, by URL.
    haul retries, bounds the files at once and verifies. The timeout, or cancelling the task, ends it with everything
    kept: the same call resumes.
    """
    haul = await asyncio.create_subprocess_exec(
        os.environ.get("HAUL", "haul"), "--json", "-q", "-i", "-", "-d", directory, stdin=PIPE, stdout=PIPE)
    haul.stdin.write("\n".join(map(json.dumps, files)).encode())
    haul.stdin.close()
    failed = {}
    try:
        async with asyncio.timeout(timeout):
            async for line in haul.stdout:
                event = json.loads(line)
                if event["event"] == "error":
                    failed[event["url"]] = event["message"]
                on_event(event)
    finally:
        if not haul.stdout.at_eof():
            haul.send_signal(signal.SIGINT)
        await haul.wait()
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 3 or "://" not in sys.argv[2]:
        sys.exit("usage: python3 download.py DIR URL [SHA256] [URL [SHA256]]...")
    wanted = []
    for word in sys.argv[2:]:
        wanted.append({"url": word}) if "://" in word else wanted[-1].update(sha256=word)
    sys.exit(bool(asyncio.run(download(wanted, sys.argv[1], lambda event: print(event["event"], event.get("path", ""))))))
