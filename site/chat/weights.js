// How much files add to a flat price, and the price of a message by usage. Its usual price follows
// the model tokens that its texts are estimated to have, and its highest price the most that they
// can have.

import { OTHER, SCRIPTS } from "../session/model-tokens.js";
import {
  PROMPT,
  boundOf,
  boundOfInstructions,
  chosenModel,
  context,
  fileLimits,
  highestPriceOf,
  models,
  priceOf,
} from "../session/models.js";
import { spendable } from "../session/user.js";
import { learnPicture, meanOf, usualAnswer, usualPicture } from "../session/usual.js";

/** The estimated number of bytes of a stored text for each of its model tokens. */
const PER_TOKEN = 4;

/**
 * The model tokens that a prompt may need for each of its turns, in addition to the bound of its
 * text.
 */
const PER_TURN = 17;

/** How many times as long as usual the prompt is for which the API holds tokens. */
const HELD = 1.25;

const sumOf = (all, sizeOf) => all.reduce((sum, one) => sum + sizeOf(one), 0);

/** Returns true for a picture. Its model tokens depend on the model. */
export const isPicture = ({ type }) => type.startsWith("image/");

/** The files in a chat that models can get: all texts, and the last pictures. */
export function inContext(files) {
  const most = fileLimits()?.pictures ?? 0;
  const last = new Set(most > 0 ? files.filter(isPicture).slice(-most) : []);
  return files.filter((file) => !isPicture(file) || last.has(file));
}

/** The files that a model gets with a message. Some models take no pictures. */
const sentFiles = (files, model = chosenModel()) =>
  inContext(files).filter((file) => !isPicture(file) || !model || model.pictures);

/** How often a message with these files costs a flat price. */
export function timesWith(files, model) {
  const limits = fileLimits();
  if (!limits) return 1;
  const { priced_bytes: each, priced_picture: picture } = limits;
  const sizeOf = (file) => (isPicture(file) ? picture : file.bytes);
  return Math.max(1, Math.ceil(sumOf(sentFiles(files, model), sizeOf) / each));
}

// --- Prices by usage ---

/** The estimated thousandths of a model token that a character takes, by its code point. */
const thousandthsOf = (code) =>
  SCRIPTS.find(([first, last]) => first <= code && code <= last)?.[2] ?? OTHER;
const ASCII = Array.from({ length: 128 }, (_, code) => thousandthsOf(code));

/** The estimated number of model tokens in a text. Tokenizers join blanks. */
export function modelTokens(text) {
  let sum = 0;
  for (const character of text.replaceAll(/\s+/g, " ")) {
    const code = character.codePointAt(0);
    sum += ASCII[code] ?? thousandthsOf(code);
  }
  return Math.ceil(sum / 1000);
}

/** Caches what messages and files count, so that typing doesn't count them again. */
const counted = new WeakMap();

function cached(one, count) {
  if (!counted.has(one)) counted.set(one, count());
  return counted.get(one);
}

/** The bound of a message with its answer, and their estimates. */
const countOf = (chat) =>
  cached(chat, () => ({
    most: boundOf(chat.message) + boundOf(chat.response),
    message: modelTokens(chat.message),
    answer: modelTokens(chat.response),
  }));

/** The estimated model tokens of a text file. The page only has the texts that it sends. */
const tokensOfFile = (file) =>
  cached(file, () =>
    file.text === undefined ? Math.ceil(file.tokens / PER_TOKEN) : modelTokens(file.text),
  );

/** The estimated model tokens of messages that the AI gets with the next one. */
function tokensOfChats(chats) {
  const sum = sumOf(chats, (chat) => countOf(chat).message + countOf(chat).answer);
  const most = sumOf(chats, (chat) => countOf(chat).most);
  return sum * Math.min(1, context().bytes / Math.max(most, 1));
}

/**
 * The usual number of model tokens in the prompt of a message. If the model has written an answer
 * before, its prompt was counted. Then only what has been added since is estimated, and corrected as
 * the counted prompt shows.
 */
function usualPrompt(message, { chats, instructions, files }, model) {
  const rest = (model.usual_overhead ?? 0) + sumOf(instructions, (text) => modelTokens(text ?? ""));
  const picture = usualPicture(model);
  const ofFile = (file) => (isPicture(file) ? picture : tokensOfFile(file));
  const estimate = (before, own, sent) =>
    rest + tokensOfChats(before) + own + sumOf(sentFiles(sent, model), ofFile);
  const now = estimate(chats, modelTokens(message), files);
  const at = chats.findLastIndex((chat) => chat.usage && chat.model === model.name);
  if (at < 0 || lostFiles(chats.slice(0, at + 1), files)) return now;
  const { id, usage } = chats[at];
  const had = files.filter((file) => file.id && file.id.split(".")[0] <= id);
  const then = estimate(chats.slice(0, at), countOf(chats[at]).message, had);
  const shown = usage.prompt_tokens;
  // In a short prompt, what providers add may be larger than the texts.
  const correction = (shown + PROMPT) / (then + PROMPT);
  return Math.max(0, shown + (now - then) * correction);
}

/** Returns true if files of these messages were removed. Nothing says whether an answer had them. */
const lostFiles = (chats, files) =>
  chats.some((chat) => chat.files?.some(({ id }) => !files.some((file) => file.id === id)));

/**
 * The price of a message to a model by usage: `{usual, max_cost, isCut}`. `isCut` is true if the
 * balance may not cover the longest answer. `said` contains the messages before this one, as
 * `{chats, isWhole}`, the instructions, and the files. With pictures before the first answer, the
 * price also contains their number, and the estimated model tokens of the rest (`texts`).
 */
export function priceByUsage(message, said, model) {
  const { fare, most, more = 0, prompt_overhead: overhead, picture = 0 } = model;
  const { chats, isWhole, instructions, files } = said;
  const limits = context();
  const earlier = isWhole ? sumOf(chats, (chat) => countOf(chat).most) : Infinity;
  const turns = 2 * (isWhole ? chats.length : limits.chats);
  const sent = sentFiles(files, model);
  const bound =
    overhead +
    boundOf(message) +
    sumOf(instructions, boundOfInstructions) +
    Math.min(limits.bytes, earlier) +
    PER_TURN * turns +
    sumOf(sent, (file) => (isPicture(file) ? picture : file.tokens));
  const prompt = Math.ceil(usualPrompt(message, said, model));
  const own = chats.filter((chat) => chat.usage && chat.model === model.name);
  // Answers in one chat are similarly long.
  const usual = own.length > 0 ? meanOf(own.map(answerOf)) : usualAnswer(model);
  const highest = highestPriceOf(fare, bound, most) + more;
  const pictures = own.length > 0 ? 0 : sent.filter(isPicture).length;
  return {
    usual: Math.min(priceOf(fare, prompt, Math.min(usual, most)), highest),
    max_cost: highest,
    isCut: highestPriceOf(fare, Math.ceil(HELD * prompt), most) + more > spendable(),
    ...(pictures > 0 && { pictures, texts: prompt - pictures * usualPicture(model) }),
  };
}

const answerOf = ({ usage }) => usage.completion_tokens;

/** Remembers how many model tokens the pictures of an answered message had. */
export function learnPictures({ model, usage }, offer) {
  const { pictures, texts } = offer ?? {};
  const listed = pictures && usage && models().find(({ name }) => name === model);
  // Beside a long text, the estimate of the text says nothing about the pictures.
  if (!listed || 2 * texts > usage.prompt_tokens) return;
  learnPicture(listed, (usage.prompt_tokens - texts) / pictures);
}
