// Copies or saves a chat as Markdown, saves it as JSON, and prints it.

import { withoutReasoning } from "../markdown/prose.js";
import { save } from "../session/files.js";
import { announce } from "../ui/announce.js";
import { copyText } from "../ui/button.js";
import { formatTime } from "../ui/format.js";
import { toast } from "../ui/message.js";
import { named } from "./sidebar.js";

/** The maximum length of a file name without its extension, in characters. */
const LONGEST = 60;

/** Copies the shown branch as Markdown. */
export async function copy(thread) {
  const copied = await copyText(markdownOf(thread, await thread.turns.whole()), thread.menu);
  if (copied) toast("The chat has been copied.");
  else announce("The text could not be copied.");
}

/** Saves the shown branch as Markdown. */
export async function saveMarkdown(thread) {
  const text = markdownOf(thread, await thread.turns.whole());
  save(new Blob([text], { type: "text/markdown" }), `${fileName(thread)}.md`);
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

function markdownOf({ conversation }, chats) {
  const turns = chats.flatMap(({ message, response, timestamp, receipt }) => [
    `## You, ${formatTime(timestamp)}`,
    message,
    receipt?.model ? `## AI (${receipt.model})` : "## AI",
    withoutReasoning(response),
  ]);
  return `${[`# ${named(conversation)}`, ...turns].join("\n\n")}\n`;
}

/** A file name made from the title: letters and digits of any language, and hyphens. */
function fileName({ conversation }) {
  const words = named(conversation).match(/[\p{L}\p{N}]+/gu) ?? [];
  const name = [...words.join("-")].slice(0, LONGEST).join("");
  return name || "chat";
}
