// The line below a chat's title: what the chat was charged, and whether it is temporary. In a new
// chat outside the folders, a switch makes it temporary. Loaded with the first chat that is shown.

import { fill, h } from "../ui/dom.js";
import { formatTime, formatTokens } from "../ui/format.js";
import { isTemporary } from "./sidebar.js";

/** What a temporary chat is, before its first message. */
const TEMPORARY =
  "It won't be in your list, your history or a search, and is deleted after a day. Messages cost the same.";

const BEFORE_REFUNDS = "Before refunds. Your statement contains all charges and refunds.";
const UNKNOWN =
  "This chat has too many messages to add up what they were charged. Your statement contains all charges.";

/** The switches of the `Thread`s that have been shown: each `{box, hint}`. */
const switches = new WeakMap();

function switchOf(thread) {
  if (switches.has(thread)) return switches.get(thread);
  const hint = h("p", { class: "temporary-hint", id: "temporary-hint" }, TEMPORARY);
  const onchange = () => {
    thread.temporary = box.checked;
    hint.hidden = !box.checked;
    thread.composer.keepKind();
  };
  const named = { id: "temporary", "aria-describedby": hint.id };
  const box = h("input", { type: "checkbox", ...named, onchange });
  fill(thread.choice, h("label", { class: "temporary-label" }, box, "Temporary chat"), hint);
  switches.set(thread, { box, hint });
  return switches.get(thread);
}

/** Shows the state of a `Thread` in its switch and in the line below its title. */
export function show(thread) {
  const { conversation, temporary } = thread;
  const { box, hint } = switchOf(thread);
  box.checked = temporary;
  hint.hidden = !temporary;
  const { charged, expires } = conversation;
  const words = [];
  if ((thread.id || thread.name) && isTemporary(conversation)) {
    const end = expires ? `on ${formatTime(expires)}` : "after a day";
    words.push(`Temporary: not in your history, deleted ${end}`);
  }
  if (charged > 0) words.push(h("span", { title: BEFORE_REFUNDS }, chargedInWords(conversation)));
  // In a chat from before the charges were counted, the API adds up only a limited number.
  if (charged === null && thread.id)
    words.push(h("span", { title: UNKNOWN }, "Charges not added up"));
  thread.about.hidden = words.length === 0;
  fill(thread.about, words.flatMap((word) => [" · ", word]).slice(1));
}

/** `Charged 300 tokens so far`, what the conversation's messages were charged before refunds */
export const chargedInWords = ({ charged }) => `Charged ${formatTokens(charged)} so far`;
