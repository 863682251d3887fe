// The usual way with axios and promises: node axios_download.cjs DIR LIST. Nothing is resumed or verified.
const { createWriteStream, readFileSync } = require("node:fs");
const { pipeline } = require("node:stream/promises");
const { Agent } = require("node:http");
const axios = require("axios");

const [dir, list] = process.argv.slice(2);
const urls = readFileSync(list, "utf8").split("\n").filter(Boolean);
const httpAgent = new Agent({ keepAlive: true, maxSockets: 32 });
async function worker() {
  for (let url; (url = urls.pop()); ) {
    const answer = await axios.get(url, { responseType: "stream", httpAgent });
    await pipeline(answer.data, createWriteStream(`${dir}/${url.split("/").pop()}`));
  }
}
Promise.all(Array.from({ length: 32 }, worker));
