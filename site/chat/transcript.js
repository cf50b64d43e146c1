// Copies or saves a chat as Markdown, saves it as JSON, prints it, and shares a copy of it. A chat
// with files is saved as a zip file with the Markdown and the files.

import { withoutReasoning } from "../markdown/thoughts.js";
import { save } from "../session/files.js";
import { announce } from "../ui/announce.js";
import { copyText } from "../ui/button.js";
import { formatTime } from "../ui/format.js";
import { toast } from "../ui/message.js";
import { chargedInWords } from "./about.js";
import { named } from "./sidebar.js";

export { share } from "./share.js";

/** The maximum length of a file name without its extension, in characters. */
const LONGEST = 60;

/** Copies the shown branch as Markdown. */
export async function copy(thread) {
  const copied = await copyText(markdownOf(thread, await thread.turns.whole()), thread.menu);
  if (copied) toast("The chat has been copied.");
  else announce("The text could not be copied.");
}

/** Saves the shown branch as Markdown, with its files. */
export async function saveMarkdown(thread) {
  const chats = await thread.turns.whole();
  const name = fileName(thread);
  if (chats.some(({ files }) => files)) {
    save(await zipped(thread, chats, `${name}.md`), `${name}.zip`);
    return;
  }
  save(new Blob([markdownOf(thread, chats)], { type: "text/markdown" }), `${name}.md`);
}

/** A zip file with the Markdown, and the files of the messages. */
async function zipped(thread, chats, name) {
  const [{ zip, safeName }, { contentOf, readStored }] = await Promise.all([
    import("../files/zip.js"),
    import("./shelf.js"),
  ]);
  const entries = [];
  const places = new Map();
  for (const file of chats.flatMap(({ files = [] }) => files)) {
    const stored = await readStored(file).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    });
    if (!stored) continue;
    const place = `files/${entries.length + 1}-${safeName(file.name)}`;
    places.set(file.id, place);
    entries.push([place, contentOf(stored)]);
  }
  const text = markdownOf(thread, chats, places);
  return zip([[name, new TextEncoder().encode(text)], ...entries]);
}

/** Saves the conversation and the messages of the shown branch, as the API returns them. */
export async function saveJson(thread) {
  const { conversation } = thread;
  const messages = await thread.turns.whole();
  const text = JSON.stringify({ conversation, messages }, null, 2);
  save(new Blob([text], { type: "application/json" }), `${fileName(thread)}.json`);
}

/** Shows the whole branch, and then prints the page. */
export async function print(thread) {
  await thread.turns.whole();
  // The answers are drawn as Markdown within the next two frames.
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  window.print();
}

/** The chat as Markdown. `places` contains the relative addresses of its files, by their ids. */
function markdownOf({ conversation }, chats, places = new Map()) {
  const turns = chats.flatMap(({ message, files = [], response, timestamp, receipt }) => [
    `## You, ${formatTime(timestamp)}`,
    message,
    ...files.map((file) => linked(file, places.get(file.id))),
    receipt?.model ? `## AI (${receipt.model})` : "## AI",
    withoutReasoning(response),
  ]);
  const cost = conversation.charged > 0 ? [`${chargedInWords(conversation)}, before refunds.`] : [];
  return `${[`# ${named(conversation)}`, ...cost, ...turns].join("\n\n")}\n`;
}

/** A file in Markdown: a picture, a link, or only its name if its content is missing. */
function linked({ name, type }, place) {
  const text = name.replaceAll(/[\\[\]`*_<>&!]/g, "\\$&");
  if (!place) return `File: ${text}`;
  const target = place
    .split("/")
    .map(encodeURIComponent)
    .join("/")
    .replaceAll("(", "%28")
    .replaceAll(")", "%29");
  return `${type.startsWith("image/") ? "!" : ""}[${text}](${target})`;
}

/** A file name made from the title: letters and digits of any language, and hyphens. */
function fileName({ conversation }) {
  const words = named(conversation).match(/[\p{L}\p{N}]+/gu) ?? [];
  const name = [...words.join("-")].slice(0, LONGEST).join("");
  return name || "chat";
}
