// The notes about messages that the API refused, with buttons that send them for another price, with
// another model, or in another chat.

import { newKey } from "../session/api.js";
import {
  chooseModel,
  correctModel,
  hasPrices,
  isFlat,
  models,
  readModels,
} from "../session/models.js";
import { balance, readBalance, tooFew } from "../session/user.js";
import { announce } from "../ui/announce.js";
import { button, linkButton } from "../ui/button.js";
import { h } from "../ui/dom.js";
import { explain, formatTokens } from "../ui/format.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { go } from "../ui/router.js";
import { NEW, moveDraft } from "./drafts.js";
import { offerInWords, offerOf, priceInWords, timesWith, weights } from "./offer.js";
import { folders } from "./sidebar.js";
import { dropUnfinished } from "./unfinished.js";
import { isPicture } from "./weights.js";

/** The maximum number of cheaper models that are offered for a refused message. */
const CHEAPER = 3;

/** How many times the usual price the balance must cover for another offer. */
const COVER = 1.5;

const NOT_CHARGED = "Nothing was charged, and your message is kept.";

const LOST = "The message before yours was deleted. Send yours again to continue from here.";

/**
 * Reads what the note about a turn's refused price or model shows: the current prices, the balance,
 * and the files in the conversation, because another device may have added some. `cost` is the
 * lowest amount that is enough now, and `most` the highest price. The list may be older.
 */
export async function renew({ cost, most }, turn) {
  const { thread, parts, offer } = turn;
  const listed = readModels().catch(() => {});
  await Promise.all([readBalance(), listed, thread.recount(), weights.read()]);
  const model = models().find(({ name }) => name === offer.model);
  if (cost === null || !model) return;
  if (isFlat(model.fare)) {
    const message = Math.ceil(cost / timesWith([...thread.files, ...parts], model));
    correctModel(model.name, { fare: { message } });
    return;
  }
  const dearer = (most ?? cost) - (turn.offerNow(model)?.max_cost ?? Infinity);
  if (dearer > 0) correctModel(model.name, { more: (model.more ?? 0) + dearer });
}

/**
 * Returns true if the user has too few tokens for an answer. The API compares the price with
 * `max_cost` before it reads the balance.
 */
export const isPoor = ({ status, code, cost }) =>
  status === 402 || (code === "costs_more" && cost > (balance() ?? Infinity));

/** Returns true if the balance covers an offer: a flat price, or more than the usual price. */
const covers = ({ isFlat: isExact, usual, max_cost: most }) =>
  (isExact ? most : COVER * usual) <= (balance() ?? Infinity);

/** Shows why the API refused a turn's message, which has returned to its box. */
export function refuse(composer, error, turn) {
  const { thread } = composer;
  const isShort = isPoor(error);
  const isDear = error.code === "costs_more" || Boolean(error.errors?.model);
  const isGone = error.status === 404 && thread.id;
  const words = error.errors?.after ? LOST : isGone ? "This chat was deleted." : explain(error);
  const text = (error.errors?.message ?? error.errors?.attachments)?.join(" ") ?? words;
  const actions = [];
  if (isGone) {
    const onclick = () => thread.discard();
    actions.push(button("Ask in a new chat", { small: true, kind: "primary", onclick }));
  }
  if (isShort) {
    const fresh = thread.id && !turn.instead && freshOffer(turn);
    if (fresh && covers(fresh)) {
      const onclick = () => moveOut(composer, fresh.model);
      const props = { small: true, kind: "primary", onclick };
      actions.push(button(`Ask in a new chat for ${priceInWords(fresh)}`, props));
    }
    const props = { small: true, icon: "receipt" };
    actions.push(linkButton("See your statement", "#/statement", props));
  }
  const kept = h("p", {}, NOT_CHARGED);
  const { offer, parts } = turn;
  const isCharged = offer?.isFlat && timesWith([...thread.files, ...parts]) > 1;
  const withFiles = isCharged && h("p", {}, `With its files, it costs ${offerInWords(offer)}.`);
  const sentences = isShort
    ? [tooFew(error), withFiles, kept]
    : isDear
      ? [refusal(error, turn), kept]
      : [h("p", {}, text)];
  if (isShort || isDear) actions.unshift(...offers(error, turn));
  const shown = note(
    isShort || isDear ? "warn" : "bad",
    sentences,
    actions.length > 0 && h("div", { class: "note-actions" }, actions),
  );
  shown.setAttribute("role", "alert");
  composer.notify(shown);
  composer.refused = isShort ? untilCovered(composer, turn, error.cost) : null;
  if (error.errors?.message) composer.box.setAttribute("aria-invalid", "true");
  composer.priced();
}

/**
 * Returns a function that ends the note about too few tokens when the balance has grown and covers
 * a turn's message. It gets the price of an answer without a price list. `cost` is the price that
 * the API named for the refused model, or null.
 */
function untilCovered(composer, turn, cost) {
  let had = balance() ?? 0;
  return (price) => {
    const { thread, box, parts } = composer;
    const offer = turn.instead ? turn.offerNow() : thread.offer(box.value, { parts });
    if (offer === undefined) return;
    const own = offer?.isFlat ? offer.max_cost : (offer?.usual ?? price);
    const isSame = offer && offer.model === turn.offer?.model && !offer.isFlat;
    const needed = (isSame && cost) || own;
    const now = balance() ?? 0;
    if (needed > 0 && now > had && now >= needed) {
      const text = turn.instead
        ? "Your balance covers the new answer now."
        : "Your balance covers your message now. Send it again.";
      composer.tell(text);
      announce(text);
    }
    had = Math.min(had, now);
  };
}

/** The offer for a turn's message in a new chat, in the folder of its chat. */
function freshOffer({ thread, message, parts }) {
  const folder = folders()?.folder(thread.conversation.folder_id);
  const instructions = [folder?.instructions];
  const model = thread.chosen;
  const before = () => ({ chats: [], isWhole: true });
  return offerOf(message, { before, files: parts, instructions, model });
}

/** Moves what is in a box to a new chat with this model. */
function moveOut(composer, model) {
  moveDraft(composer.draft, NEW);
  composer.keep([]);
  composer.put("", false);
  composer.clear();
  chooseModel(model);
  go(composer.thread.fresh);
}

/** The reason why the API refused a turn's price or model. */
export function refusal({ cost, most, errors }, turn) {
  const { offer } = turn;
  const now = turn.offerNow();
  if (errors?.model)
    return h("p", {}, `The model ${offer.model} isn't offered any more. Choose another one.`);
  const isDearer = now?.model === offer.model && now.max_cost > offer.max_cost;
  const was = offerInWords(offer);
  if (isDearer)
    return h(
      "p",
      {},
      `The price has changed. This message costs ${offerInWords(now)} now, not ${was}.`,
    );
  const highest = most ?? cost;
  const price = highest === null ? "costs more" : `may cost up to ${formatTokens(highest)}`;
  return h(
    "p",
    {},
    `This message ${price}, but its price was shown as ${was}. Try again in a minute, or shorten it.`,
  );
}

/**
 * Sets the current price, and a new key, for a turn's message that the API refused because of its
 * old price or model. Returns the text of the button that sends the message.
 */
export function offerAgain(turn) {
  dropUnfinished(turn);
  Object.assign(turn, { key: newKey(), offer: turn.offerNow() });
  turn.keep();
  return turn.offer ? `Send for ${offerInWords(turn.offer)}` : "Retry";
}

/**
 * Buttons that send a refused message again: for the new price if the price has changed, and with
 * cheaper models that the user can pay for.
 */
function offers(error, turn) {
  if (!hasPrices() || !turn.offer) return [];
  const chosen = turn.thread.chosen.name;
  const isDear = !isPoor(error);
  const least = error.cost ?? 0;
  const most = isDear ? turn.offer.max_cost : Infinity;
  const able = (model) => model.pictures || !turn.parts.some(isPicture);
  const offers = models()
    .filter((model) => model.name === chosen || able(model))
    .map((model) => turn.offerNow(model))
    .filter(Boolean);
  const cheaper = offers
    .filter((offer) => offer.model !== chosen && covers(offer) && offer.max_cost <= most)
    .sort((one, other) => one.max_cost - other.max_cost)
    .slice(0, CHEAPER);
  const own = offers.find(({ model }) => model === chosen);
  // A balance below the highest price of an answer by usage only shortens the answer.
  const needed = own?.isFlat ? own.max_cost : least;
  const isPayable = own?.max_cost >= least && needed <= (balance() ?? Infinity);
  const send = (offer, text, kind, inWords = priceInWords) => {
    const onclick = () => {
      chooseModel(offer.model);
      sendAgain(turn);
    };
    return button(`${text} ${inWords(offer)}`, { small: true, kind, onclick });
  };
  return [
    isDear && isPayable && send(own, "Send for", "primary", offerInWords),
    ...cheaper.map((offer) => send(offer, `Send with ${offer.model} for`, "secondary")),
  ].filter(Boolean);
}

/** Sends a refused message again, from the box or the version to which it was returned. */
function sendAgain({ thread: { turns, composer }, instead }) {
  const version = turns.shown.find(({ chat }) => instead && chat?.id === instead);
  const editor = version?.said.querySelector(".edit");
  composer.clear();
  if (editor) editor.requestSubmit();
  else if (version) attempt(() => version.regenerate());
  else composer.submit();
}
