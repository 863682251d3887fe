// Drives haul's daemon over WebSocket with the npm client of aria2: PORT SECRET ORIGIN SHA256.
const assert = require("node:assert");
const Aria2 = require("aria2");

const [port, secret, origin, digest] = process.argv.slice(2);
const aria2 = new Aria2({
  host: "127.0.0.1", port: Number(port), secure: false, secret, path: "/jsonrpc",
  WebSocket: require("ws"), fetch: require("node-fetch"),
});
const ended = new Map();
const waiting = new Map();
for (const event of ["onDownloadComplete", "onDownloadError"]) {
  aria2.on(event, ([{ gid }]) => {
    ended.set(gid, event);
    if (waiting.has(gid)) waiting.get(gid)(event);
  });
}
const end = gid => ended.get(gid) || new Promise(resolve => waiting.set(gid, resolve));

(async () => {
  await aria2.open();
  const gid = await aria2.call("addUri", [`${origin}/file.bin`], { out: "ws.bin", checksum: `sha-256=${digest}` });
  assert.strictEqual(await end(gid), "onDownloadComplete");
  const status = await aria2.call("tellStatus", gid, ["status", "totalLength"]);
  assert.deepStrictEqual(status, { status: "complete", totalLength: String(4 << 20) });
  const gone = await aria2.call("addUri", [`${origin}/gone`]);
  assert.strictEqual(await end(gone), "onDownloadError");
  assert.strictEqual((await aria2.call("tellStatus", gone, ["errorCode"])).errorCode, "3");
  const [[version], [stat]] = await aria2.multicall([["getVersion"], ["getGlobalStat"]]);
  assert.ok(version.version && stat.numStopped === "2");
  const wrong = await aria2.call("addUri", [`${origin}/w.bin`], { checksum: "sha-256=" + "0".repeat(64) });
  assert.strictEqual(await end(wrong), "onDownloadError");
  await assert.rejects(aria2.call("addUri", [`${origin}/x`], { dir: "/etc" }));
  await aria2.close();
  console.log("all of it");
  process.exit(0);
})().catch(error => {
  console.error(error);
  process.exit(1);
});
