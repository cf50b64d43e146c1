// The export of the account's data, and the deletion of the account.

import { ApiError, del, inCookie, leave } from "../session/api.js";
import { file, save } from "../session/files.js";
import { profile } from "../session/user.js";
import { busy, button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { inCurrency } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { accountPage } from "./tabs.js";

/** `#/account/data`. `goodbye` runs after the account is deleted. */
export function ownData(_place, goodbye) {
  const take = button("Download everything", {
    icon: "download",
    onclick: () =>
      busy(take, () =>
        attempt(async () => {
          const { blob, name } = await file("api/user/export/");
          // A truncated reply lacks the end of the document.
          if (!(await blob.slice(-8).text()).trimEnd().endsWith("]}")) {
            throw new ApiError({
              code: "interrupted",
              detail: "The file is incomplete. Try again.",
            });
          }
          save(blob, name ?? "farebox-export.json");
          toast("Your data has been downloaded.");
        }),
      ),
  });
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
        "Everything that is stored about you, as one JSON file: profile, instructions for the AI, sessions, API keys (without the keys themselves), chats with all messages and answers, the statement, and purchases.",
      ),
      take,
    ),
    h(
      "section",
      { class: "card card-danger", "aria-labelledby": "delete" },
      h("h2", { id: "delete" }, "Delete the account"),
      h(
        "p",
        {},
        inCurrency(
          "All sessions and API keys stop working at once, your messages are erased within minutes, and your remaining tokens are lost. This can't be undone.",
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
        inCurrency("” and all its chats are deleted for good, and its tokens are lost."),
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
