// A server with something to show in every view, and the addresses of the views.

import { loaded, newUser } from "./browser.mjs";
import { pdf } from "./attachments.mjs";
import { newServer } from "./server.mjs";

/** A price list with a model of each kind of fare. */
export const LIST = {
  currency: "USD",
  million_tokens: "20.00",
  models: [
    { name: "quick", about: "Short answers", via: ["openai"], fare: { message: 100 } },
    {
      name: "deep",
      about: "Long answers",
      via: ["openai"],
      fare: { input: 50_000, cached: 5000, output: 400_000 },
      most: 1500,
      picture: 1000,
      cost: { input: "1.25", cached: "0.125", output: "10.00" },
    },
  ],
};

let started = null;

/** The server, which the journeys of a script share. */
export const furnished = () => (started ??= furnish());

async function furnish() {
  const server = await newServer(LIST, { SHARING: "on", PAYMENTS: "simulated" });
  const { url, admin } = server;
  const { body: batch } = await admin("POST", "api/admin/vouchers/", { name: "Spring", tokens: 500, count: 2, uses: 50 });
  return { ...server, batch, resident: () => resident(url, batch) };
}

/**
 * A new user with chats in a folder and outside, one with a file, a shared chat, an API key, an
 * unpaid purchase and a redeemed voucher: `{ann, chat, message, link}`.
 */
async function resident(url, batch) {
  const ann = await newUser("ann", { site: url });
  const ask = async (path, body) => (await ann.api("POST", path, body)).body;
  const folder = await ask("api/folders/", { name: "Travel", instructions: "Answer in French." });
  const first = await ask("api/chat/", { message: "Markdown please", attachments: [{ name: "notes.txt", type: "text/plain", text: "A note" }] });
  await ask("api/chat/", { message: "Where is the giraffe?", folder_id: folder.id });
  const { link } = await ask("api/user/shares/", { conversation_id: first.conversation_id });
  await ask("api/user/api-keys/", { name: "build server" });
  const { body: shop } = await ann.api("GET", "api/user/purchases/");
  await ask("api/user/purchases/", { pack: shop.packs[0].id });
  for (const code of batch.codes) await ann.api("POST", "api/user/vouchers/", { code });
  return { ann, chat: first.conversation_id, message: first.id, link };
}

/** The addresses of a user's views. */
export const viewsOf = ({ chat, message }) => [
  "#/",
  `#/c/${chat}`,
  `#/c/${chat}?chat=${message}`,
  `#/m/${message}`,
  "#/history",
  "#/history?q=giraffe",
  "#/statement",
  "#/buy",
  "#/account",
  "#/account/sessions",
  "#/account/api-keys",
  "#/account/data",
  "#/nowhere",
];

/** The addresses of the views without a session. */
export const GUEST_VIEWS = ["#/log-in", "#/register", "#/forgotten-password", "#/reset-password?token=x", "#/verify-email?token=x", "#/verify-email"];

/** The addresses of the administrators' views. */
export const administratorsViews = ({ ann, batch }) => [
  "users",
  "users/grants",
  "users/bulk?act=grant",
  `users/${ann.id}`,
  `users/${ann.id}/statement`,
  `users/${ann.id}/chats`,
  "chats",
  "figures",
  "prices",
  "prices/edit",
  "vouchers",
  `vouchers/${batch.id}`,
  "purchases",
  "purchases/packs",
  "shares",
  "brand",
  "trail",
  "export",
];

/** Opens another view of a page, and waits until it is shown and has read its lists. */
export async function visit(page, address) {
  const [left, opened] = [page.url(), address].map((url) => url.split("#"));
  const isView = opened.length > 1 && left[0] === opened[0] && left[1] !== opened[1];
  // The previous view is shown until the new one gets the focus.
  if (isView) await page.evaluate(() => document.activeElement.blur());
  await page.goto(address);
  if (isView) await page.waitForFunction(() => document.activeElement !== document.body);
  await page.locator("h1").first().waitFor();
  await loaded(page);
}

/** A PDF of many pages with much text. */
export const book = (pages) =>
  pdf(Array.from({ length: pages }, (_, number) => `Chapter ${number + 1}\n${`A line of the chapter with some words in it.\n`.repeat(60)}`));
