"""Drives haul's daemon with aria2p, as it drives aria2: PORT SECRET ORIGIN SHA256 full|roomy."""

import sys
import time

import aria2p

port, secret, origin, digest, room = sys.argv[1:]
api = aria2p.API(aria2p.Client(host="http://127.0.0.1", port=int(port), secret=secret))


def until(download, *states):
    for _ in range(600):
        download.update()
        if download.status in states:
            return download
        time.sleep(0.05)
    raise SystemExit(f"{download.gid} is {download.status}, and not {states}: {download.error_message}")


# A socket that only listens.
heard = []
api.listen_to_notifications(
    threaded=True,
    on_download_start=lambda _, gid: heard.append(("start", gid)),
    on_download_pause=lambda _, gid: heard.append(("pause", gid)),
    on_download_complete=lambda _, gid: heard.append(("complete", gid)),
    timeout=1,
    handle_signals=False,
)

# A file, with its digest.
done = api.add_uris([f"{origin}/a.bin"], options={"out": "a.bin", "checksum": f"sha-256={digest}", "split": "4"})
until(done, "complete")
assert done.completed_length == done.total_length == 4 << 20, done.total_length
assert str(done.files[0].path).endswith("/a.bin"), done.files
assert open(done.files[0].path, "rb").read(16)

# One that is interrupted, and goes on.
slow = api.add_uris([f"{origin}/slow.bin"], options={"out": "slow.bin", "split": "1"})
until(slow, "active")
while not slow.completed_length:
    time.sleep(0.05)
    slow.update()
assert slow.pause(force=True)
until(slow, "paused")
before = slow.completed_length
assert slow.resume()
until(slow, "active", "complete", "error")
slow.update()
assert slow.completed_length >= before, (slow.completed_length, before)
until(slow, "complete")

for _ in range(600):
    if ("complete", slow.gid) in heard:
        break
    time.sleep(0.05)
assert [event for event, gid in heard if gid == slow.gid] == ["start", "pause", "start", "complete"], heard
api.stop_listening()

# A disk that is full.
if room == "full":
    big = until(api.add_uris([f"{origin}/big.bin"]), "error")
    assert big.error_code == "9", (big.error_code, big.error_message)

# A wrong digest, and no such file.
wrong = api.add_uris([f"{origin}/b.bin"], options={"out": "b.bin", "checksum": "sha-256=" + "0" * 64, "dir": str(done.dir)})
until(wrong, "error")
assert wrong.error_code == "32", wrong.error_code
gone = until(api.add_uris([f"{origin}/gone"]), "error")
assert gone.error_code == "3", gone.error_code

# The list, options, and what is taken off it.
assert {download.gid for download in api.get_downloads()} >= {done.gid, wrong.gid, gone.gid}
assert api.get_global_options().max_concurrent_downloads
waiting = api.add_uris([f"{origin}/c.bin"], options={"pause": "true"})
assert waiting.status == "paused"
assert waiting.options.pause
assert api.remove([waiting]) == [True]
assert api.purge()
assert api.get_downloads() == []
print("all of it")
