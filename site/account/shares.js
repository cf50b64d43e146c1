// Shared chats: their rows in lists, and the list of all shared chats of the account.

import { base, ensureDeleted, page } from "../session/api.js";
import { button, copyButton, linkButton } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { plural, time } from "../ui/format.js";
import { paged } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState } from "../ui/note.js";

/** The address of a shared chat. */
const addressOf = ({ link }) => new URL(`s/${link}`, base).href;

/**
 * The row of a shared chat, with its address and the button that ends it. `ended` runs after it has
 * ended.
 */
export function sharedRow(share, ended = () => {}) {
  const address = addressOf(share);
  const end = async () => {
    const sure = await confirm(
      "End the shared chat?",
      `“${share.title}” can't be read under its link any more. A browser that has just shown it may show it for another minute.`,
      {
        action: "End",
        danger: true,
        run: () => ensureDeleted(`api/user/shares/${share.id}/`),
      },
    );
    if (!sure) return;
    element.remove();
    ended();
    toast("The chat is no longer shared.");
  };
  const element = h(
    "li",
    { class: "row" },
    h(
      "div",
      { class: "row-main" },
      h("p", { class: "row-title", dir: "auto" }, share.title),
      h(
        "p",
        { class: "row-about" },
        plural(share.messages, "message"),
        ", shared ",
        time(share.shared),
        share.author ? ", with your username" : ", without your name",
      ),
    ),
    copyButton(address, { label: "Copy link", "aria-label": `Copy link of ${share.title}` }),
    linkButton("Open", address, {
      small: true,
      target: "_blank",
      rel: "noopener",
      "aria-label": `Open ${share.title} in a new tab`,
    }),
    button("End", {
      small: true,
      kind: "danger",
      "aria-label": `End the shared chat ${share.title}`,
      onclick: end,
    }),
  );
  return element;
}

/** All shared chats of the account, newest first. `ended` runs after one of them has ended. */
export const sharedChats = (signal, ended) =>
  paged({
    load: () => page("api/user/shares/", undefined, { signal }),
    row: (share) => sharedRow(share, ended),
    empty: emptyState("users", "No shared chats"),
  });
