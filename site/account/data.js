// The export of the account's data, and the deletion of the account.

import { ApiError, del, get, inCookie, leave } from "../session/api.js";
import { file, fileName, save } from "../session/files.js";
import { canShare } from "../session/models.js";
import { balance, profile } from "../session/user.js";
import { busy, button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, formatTokens, inCurrency } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { note, skeleton } from "../ui/note.js";
import { accountPage } from "./tabs.js";

/** `#/account/data`. `goodbye` runs after the account is deleted. */
export function ownData({ signal }, goodbye) {
  const take = taking("Download everything", "api/user/export/");
  const takeWithoutFiles = taking("Download without files", "api/user/export/?files=false");
  return accountPage(
    "Your data",
    null,
    h(
      "section",
      { class: "card", "aria-labelledby": "export" },
      h("h2", { id: "export" }, "Export your data"),
      h(
        "p",
        {},
        "Everything that is stored about you, as one JSON file: profile, instructions for the AI, sessions, API keys (without the keys themselves), folders, chats with all messages, answers and files, the statement, purchases, and shared chats. If you have sent hundreds of pictures, the file may be too large: download it without them.",
      ),
      h("div", { class: "form-actions" }, take, takeWithoutFiles),
    ),
    shared(signal),
    h(
      "section",
      { class: "card card-danger", "aria-labelledby": "delete" },
      h("h2", { id: "delete" }, "Delete the account"),
      h(
        "p",
        {},
        inCurrency(
          "All sessions and API keys stop working at once, your messages, files and shared chats are erased within minutes, and your remaining tokens are lost. This can't be undone.",
        ),
      ),
      button("Delete my account", {
        kind: "danger",
        icon: "trash",
        onclick: () => deleteAccount(goodbye),
      }),
    ),
  );
}

/** The button that downloads the document at `path`. */
function taking(label, path) {
  const take = button(label, {
    icon: "download",
    onclick: () =>
      busy(take, () =>
        attempt(async () => {
          const { blob } = await file(path);
          // A truncated reply lacks the end of the document.
          if (!(await blob.slice(-8).text()).trimEnd().endsWith("]}")) {
            throw new ApiError({
              code: "interrupted",
              detail: "The file is incomplete. Try again.",
            });
          }
          save(blob, fileName("export.json"));
          toast("Your data has been downloaded.");
        }),
      ),
  });
  return take;
}

/**
 * The shared chats, which load with their script. If the operator has switched them off, the
 * section is shown only if there are some, so that they can be ended.
 */
function shared(signal) {
  const holder = h("div", {}, skeleton(2));
  const show = async () => {
    try {
      if (!canShare()) {
        const all = await get("api/user/shares/", undefined, { signal });
        section.hidden = all.length === 0;
      }
      fill(holder, (await import("./shares.js")).sharedChats(signal, show));
    } catch (error) {
      if (!signal.aborted) fill(holder, note("bad", explain(error)));
    }
  };
  const section = h(
    "section",
    { class: "card", "aria-labelledby": "shared", hidden: !canShare() },
    h("h2", { id: "shared" }, "Shared chats"),
    h(
      "p",
      {},
      "Everybody who knows the link of a shared chat can read a copy of it until you end it. The copy stays when you delete the chat.",
    ),
    !canShare() &&
      h("p", {}, "The operator has switched shared chats off, so they can't be read now."),
    holder,
  );
  show();
  return section;
}

function deleteAccount(goodbye) {
  return dialog("Delete the account?", (close) => {
    const password = field("Your password", "password", {
      type: "password",
      autocomplete: "current-password",
    });
    return [
      h(
        "p",
        {},
        "“",
        profile().username,
        "” and all its chats are deleted for good, with ",
        balance() === null
          ? inCurrency("its tokens.")
          : `its balance of ${formatTokens(balance())}.`,
      ),
      form([password], {
        submit: "Delete for good",
        kind: "danger",
        codes: { wrong_password: "password" },
        extra: button("Cancel", { onclick: () => close() }),
        onsubmit: async (values) => {
          await del("api/user/", values, { headers: inCookie() });
          close();
          leave();
          goodbye();
          toast("Your account has been deleted.");
        },
      }),
    ];
  });
}
