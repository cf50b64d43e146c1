// The packs of tokens on sale, the payment from which the user returns, and all purchases.

import { page, post } from "../session/api.js";
import { answersInWords } from "../session/fares.js";
import { models } from "../session/models.js";
import { learnShop } from "../session/shop.js";
import { answerPrice, readBalance } from "../session/user.js";
import { usualPrice } from "../session/usual.js";
import { busy, button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { explain, formatTokens, inCurrency, plural, time } from "../ui/format.js";
import { paged } from "../ui/list.js";
import { attempt, toast } from "../ui/message.js";
import { emptyState, note } from "../ui/note.js";
import { formatPrice, stateBadge } from "../ui/purchase.js";
import { go } from "../ui/router.js";
import { accountPage } from "./tabs.js";

const PATH = "api/user/purchases/";
const PLACE = "#/buy";

/** How long to wait between two checks of a payment, and the maximum number of checks. */
const PACE = 1000;
const MOST_READS = 30;

/** `#/buy`, and `#/buy?order=<id>` after the payment page. */
export async function shop({ query: { order }, signal }) {
  const first = await read(signal);
  const status = h("div", { class: "buy-status", role: "status" });
  const lists = h("div", { class: "buy" });
  const show = (reply) => {
    const isFocused = lists.contains(document.activeElement);
    fill(lists, owed(reply), packs(reply), purchases(reply, signal));
    if (isFocused) focusOn(lists);
  };
  show(first);
  if (order) follow(order, first, { status, show, signal });
  return accountPage(
    inCurrency("Buy tokens"),
    first.packs.length > 0 &&
      inCurrency("The tokens will be in your balance as soon as the payment is confirmed."),
    status,
    lists,
  );
}

/** A page of the purchases, with the packs and the `next` page. */
async function read(signal, path = PATH) {
  const { items: reply, next } = await page(path, null, { signal });
  learnShop(reply);
  return { ...reply, next };
}

/** The note about the tokens that the user owes for refunds. */
function owed({ tokens_owed: tokens }) {
  if (tokens === 0) return null;
  const sentence = inCurrency(
    `You owe ${plural(tokens, "token")} for refunded purchases. They'll be deducted from the next tokens you receive.`,
  );
  return note("warn", h("p", {}, sentence));
}

// --- The packs ---

function packs({ packs: all }) {
  if (all.length === 0)
    return h("div", { class: "card" }, emptyState("coin", inCurrency("No tokens are on sale")));
  return h("ul", { class: "packs", "aria-label": "Packs" }, all.map(pack));
}

/** What tokens buy with the default model, at its usual price. "" if that is unknown. */
function answersFor(tokens) {
  const model = models().find((model) => model.default);
  if (!model) return answersInWords(tokens, { message: answerPrice() }, answerPrice());
  const answers = answersInWords(tokens, model.fare, usualPrice(model));
  return answers && models().length > 1 ? `${answers} with ${model.name}` : answers;
}

function pack({ id, name, tokens, price, currency }) {
  const go = button("Buy", {
    kind: "primary",
    "aria-label": `Buy ${name}`,
    onclick: () => busy(go, () => attempt(() => order(id))),
  });
  const count = formatTokens(tokens);
  const answers = answersFor(tokens);
  return h(
    "li",
    { class: "card pack" },
    h("h2", {}, name),
    name !== count && h("p", { class: "muted" }, count),
    answers && h("p", { class: "muted" }, answers),
    h("p", { class: "pack-price" }, formatPrice(price, currency)),
    go,
  );
}

/** Orders a pack and opens the payment page. */
async function order(id) {
  try {
    const { url } = await post(PATH, { pack: id });
    if (isWeb(url)) await leaveFor(url);
  } catch (error) {
    // Show the packs that are on sale now.
    if (["no_such_pack", "nothing_sold"].includes(error.code)) go(PLACE, { replace: true });
    throw error;
  }
}

/**
 * Opens another page. Ends when the user leaves this page, so that its buttons stay busy until
 * then.
 */
function leaveFor(url) {
  location.assign(url);
  return new Promise((left) => addEventListener("pagehide", left, { once: true }));
}

const isWeb = (url) => /^https?:\/\//i.test(url ?? "");

// --- The payment ---

/** Waits until the API reports the outcome of a payment, and announces it. */
async function follow(id, first, { status, show, signal }) {
  fill(status, note("info", h("p", {}, "Waiting for the payment…")));
  let reply = first;
  try {
    for (let reads = 1; ; reads += 1) {
      const bought = reply.purchases.find((purchase) => purchase.id === id);
      if (bought?.state !== "open") {
        // Otherwise a reload would announce the outcome again.
        history.replaceState(null, "", PLACE);
        fill(status, bought && outcome(bought));
        if (reply !== first) show(reply);
        return;
      }
      if (reads === MOST_READS) break;
      await new Promise((done) => setTimeout(done, PACE));
      signal.throwIfAborted();
      reply = await read(signal).catch((error) => {
        if (!error.passing) throw error;
        return reply;
      });
    }
    const sentence = "The payment isn't confirmed yet. You'll get the tokens as soon as it is.";
    fill(status, note("info", h("p", {}, inCurrency(sentence)), again()));
  } catch (error) {
    if (signal.aborted) return;
    fill(status, note("bad", h("p", {}, explain(error)), again()));
  }

  function again() {
    const onclick = () => {
      focusOn(status);
      follow(id, reply, { status, show, signal });
    };
    return h("div", { class: "note-actions" }, button("Check again", { small: true, onclick }));
  }
}

/** The note about a payment, or null if none is needed. */
function outcome({ state, tokens_granted: tokens }) {
  const say = (kind, sentence) => note(kind, h("p", {}, inCurrency(sentence)));
  if (state === "pending")
    return say(
      "info",
      "The payment is on its way. You'll get the tokens when the money arrives, which may take a few days.",
    );
  if (["failed", "expired"].includes(state)) return say("warn", "Nothing was paid.");
  if (state === "wrong_amount" || (state === "paid" && tokens === 0))
    return say(
      "warn",
      "The payment has arrived, but the tokens couldn't be added. An administrator must look at it.",
    );
  if (state === "paid") {
    readBalance();
    toast(`${formatTokens(tokens)} are in your balance. Thank you!`);
  }
  return null;
}

// --- The purchases ---

function purchases(first, signal) {
  if (first.purchases.length === 0) return null;
  const load = async (next) => {
    const { purchases: items, next: more } = next ? await read(signal, next) : first;
    return { items, next: more };
  };
  return h(
    "section",
    { class: "card", "aria-labelledby": "purchases" },
    h("h2", { id: "purchases" }, "Your purchases"),
    paged({ load, row }),
  );
}

function row(bought) {
  const { name, price, currency, refunded, tokens_owed: tokens, receipt_url: receipt } = bought;
  return h(
    "li",
    { class: "row" },
    h(
      "div",
      { class: "row-main" },
      h("p", { class: "row-title" }, name, " ", stateBadge(bought)),
      h(
        "p",
        { class: "row-about" },
        time(bought.paid ?? bought.created),
        ` · ${formatPrice(price, currency)}`,
        refunded > 0 && ` · ${formatPrice(refunded, currency)} refunded`,
        tokens > 0 && ` · ${formatTokens(tokens)} owed`,
      ),
    ),
    isWeb(receipt) &&
      h("a", { href: receipt, target: "_blank", rel: "noopener noreferrer" }, "Receipt"),
  );
}
