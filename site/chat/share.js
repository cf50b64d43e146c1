// The dialog that shares a copy of the shown branch with everybody who knows its link.

import { sharedRow } from "../account/shares.js";
import { partsOf } from "../markdown/thoughts.js";
import { get, post } from "../session/api.js";
import { profile } from "../session/user.js";
import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { explain, plural } from "../ui/format.js";
import { note } from "../ui/note.js";
import { named, titleOf } from "./sidebar.js";

/** The maximum length of an excerpt in the preview, in characters. */
const EXCERPT = 300;

/** Opens the dialog. */
export async function share(thread) {
  const [messages, shares] = await Promise.all([thread.turns.whole(), sharesOf(thread)]);
  await dialog("Share this chat", (close) => content(thread, messages, shares, close), {
    wide: true,
  });
}

/** The shared copies of this chat, newest first. */
const sharesOf = async (thread) =>
  (await get("api/user/shares/")).filter(({ conversation_id: id }) => id === thread.id);

function content(thread, messages, shares, close) {
  const list = h("ul", { class: "list", "aria-label": "Shared copies of this chat" });
  const before = h("section", { "aria-label": "Shared copies" }, list);
  const showBefore = () => (before.hidden = list.childElementCount === 0);
  const add = (share) => {
    list.prepend(sharedRow(share, showBefore));
    showBefore();
  };
  const showAll = (all) => {
    fill(list);
    all.toReversed().forEach(add);
    showBefore();
  };
  showAll(shares);

  const box = h("input", { type: "checkbox" });
  const failure = h("div", {});
  const create = button("Create a link", {
    kind: "primary",
    onclick: () =>
      busy(create, async () => {
        fill(failure);
        try {
          const share = await post("api/user/shares/", {
            conversation_id: thread.id,
            last_message_id: messages.at(-1).id,
            show_author: box.checked,
          });
          add(share);
          list.querySelector("button").focus();
          announce("The link is ready.");
        } catch (error) {
          fill(failure, note("bad", explain(error)));
          // The link may exist even though the reply was lost.
          await sharesOf(thread).then(showAll, () => {});
        }
      }),
  });
  return [
    h(
      "p",
      {},
      `Everybody who knows the link can read a copy of what you see here: the title, ${plural(messages.length, "message")} with the answers, and the models' names. Messages that you send later aren't added. Files, prices, instructions and your account's data aren't shown.`,
    ),
    preview(thread, messages),
    h(
      "div",
      { class: "checks" },
      h("label", { class: "check" }, box, h("span", {}, `Show my username, ${profile().username}`)),
    ),
    failure,
    before,
    h(
      "div",
      { class: "dialog-actions" },
      button("Close", { onclick: () => close() }),
      messages.length > 0 && create,
    ),
  ];
}

/** What readers will see, with long texts cut off. */
function preview({ conversation }, messages) {
  // A conversation's title usually comes from its first message. The API gives a copy without this
  // message the title of the copy's first message.
  const [first] = messages;
  const hasBeginning = !first || first.id === conversation.id;
  const lines = messages.flatMap(({ message, response }) => [
    h("dt", {}, "Message"),
    h("dd", { dir: "auto" }, excerpt(message)),
    h("dt", {}, "Answer"),
    h("dd", { dir: "auto" }, excerpt(partsOf(response).answer)),
  ]);
  return h(
    "div",
    { class: "share-preview", role: "region", "aria-label": "Preview", tabIndex: 0 },
    h(
      "p",
      { class: "row-title", dir: "auto" },
      hasBeginning ? named(conversation) : titleOf(first.message),
    ),
    h("dl", {}, lines),
  );
}

function excerpt(text) {
  const letters = [...text];
  return letters.length > EXCERPT ? `${letters.slice(0, EXCERPT).join("")}…` : text;
}
