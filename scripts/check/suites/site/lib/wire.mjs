// A TCP proxy between a browser and the site. It can break connections.

import net from "node:net";

import { SITE } from "./browser.mjs";

/**
 * Starts a proxy to the site. `url` is its address, `cut()` breaks all open connections, and
 * `lose(true)` refuses new ones.
 */
export async function newWire() {
  const far = new URL(SITE);
  const open = new Set();
  let lost = false;
  const server = net.createServer((near) => {
    if (lost) {
      near.resetAndDestroy();
      return;
    }
    const onward = net.connect(Number(far.port), far.hostname);
    const end = () => {
      open.delete(end);
      near.resetAndDestroy();
      onward.resetAndDestroy();
    };
    open.add(end);
    for (const [from, to] of [
      [near, onward],
      [onward, near],
    ])
      from
        .pipe(to)
        .on("error", end)
        .on("close", () => open.delete(end));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  server.unref();
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    cut: () => [...open].forEach((end) => end()),
    lose: (whether) => (lost = whether),
  };
}
