// Uses the daemon's page in a real browser: PORT SECRET ORIGIN DIRECTORY-FOR-PICTURES.
const assert = require("node:assert");
const { chromium } = require("playwright-core");

const [port, secret, origin, pictures] = process.argv.slice(2);

(async () => {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  const page = await browser.newPage({ viewport: { width: 900, height: 700 } });
  const wrong = [];
  page.on("pageerror", error => wrong.push(error.message));
  page.on("request", request => {
    if (new URL(request.url()).host !== `127.0.0.1:${port}`) wrong.push(`asked ${request.url()}`);
  });
  const row = name => page.locator("#list li", { hasText: name });
  const shows = (name, state) => row(name).locator(".state", { hasText: state }).waitFor({ timeout: 30000 });

  await page.goto(`http://127.0.0.1:${port}/`);
  await page.fill("#secret", secret);
  await page.click("#unlock button");
  await page.locator("#unlock").waitFor({ state: "hidden" });
  // Added by the keyboard alone.
  await page.fill("#url", `${origin}/slow.bin`);
  await page.fill("#out", "page.bin");
  await page.keyboard.press("Enter");
  await shows("page.bin", "active");
  await page.screenshot({ path: `${pictures}/active.png` });
  await row("page.bin").getByRole("button", { name: "Pause page.bin" }).click();
  await shows("page.bin", "paused");
  await page.reload();
  await shows("page.bin", "paused");
  await page.fill("#limit", "900K");
  await page.keyboard.press("Tab");
  await page.fill("#url", `${origin}/gone`);
  await page.keyboard.press("Enter");
  await shows("gone", "error");
  await page.setViewportSize({ width: 380, height: 800 });
  await page.screenshot({ path: `${pictures}/phone.png` });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 380, `the page is ${width} wide on a phone`);
  await page.fill("#limit", "0");
  await page.keyboard.press("Tab");
  await row("page.bin").getByRole("button", { name: "Resume page.bin" }).click();
  await shows("page.bin", "complete");
  await row("gone").getByRole("button", { name: "Remove gone" }).click();
  await row("gone").waitFor({ state: "detached" });
  await page.setViewportSize({ width: 900, height: 700 });
  await page.screenshot({ path: `${pictures}/done.png` });
  await browser.close();
  assert.deepStrictEqual(wrong, []);
  console.log("all of it");
})().catch(error => {
  console.error(error);
  process.exit(1);
});
