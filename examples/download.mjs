// Downloads files through haul without blocking the event loop: node download.mjs DIR URL [SHA256] [URL [SHA256]]...
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

/**
 * Downloads `files`, each {url} with `sha256` if it is known; gives the messages of those that failed, by URL. haul retries, bounds the
 * files at once and verifies. Aborting the signal, AbortSignal.timeout() too, keeps what came: the same call resumes.
 */
export async function download(files, dir, { onEvent = () => {}, signal } = {}) {
  const haul = spawn(process.env.HAUL ?? "haul", ["--json", "-q", "-i", "-", "-d", dir], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => haul.once("error", reject).once("close", resolve));
  const stop = () => haul.kill("SIGINT");
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  haul.stdin.end(files.map(file => JSON.stringify(file)).join("\n"));
  const failed = new Map();
  for await (const line of createInterface({ input: haul.stdout })) {
    const event = JSON.parse(line);
    if (event.event === "error") failed.set(event.url, event.message);
    onEvent(event);
  }
  await ended;
  signal?.removeEventListener("abort", stop);
  signal?.throwIfAborted();
  return failed;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [dir, ...words] = process.argv.slice(2), files = [];
  if (!words[0]?.includes("://")) { console.error("usage: node download.mjs DIR URL [SHA256] [URL [SHA256]]..."); process.exit(2); }
  for (const word of words) word.includes("://") ? files.push({ url: word }) : (files.at(-1).sha256 = word);
  const failed = await download(files, dir, { onEvent: event => console.log(event.event, event.path ?? "") });
  process.exit(failed.size);
}
