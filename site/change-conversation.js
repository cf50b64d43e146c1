// The dialogs that rename and delete a conversation.

import { announce } from "./announce.js";
import { ensureDeleted, patch } from "./api.js";
import { button } from "./button.js";
import { confirm, dialog } from "./dialog.js";
import { field, form } from "./form.js";

/** Asks for another title. `done` gets the renamed conversation. */
export async function rename(conversation, done) {
  await dialog("Rename the chat", (close) => {
    const title = field("Title", "title", {
      value: conversation.title ?? "",
      maxLength: 100,
      required: true,
      autofocus: true,
    });
    return form([title], {
      submit: "Rename",
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async (values) => {
        const data = await patch(`api/conversations/${conversation.id}/`, { title: values.title });
        Object.assign(conversation, data);
        done(conversation);
        close();
        announce("Renamed.");
      },
    });
  });
}

/** Asks, and deletes a conversation. `done` gets it then. */
export async function remove(conversation, done) {
  const deleted = await confirm(
    "Delete the chat?",
    `“${conversation.title || "Untitled"}” and all its messages are deleted for good. What they cost stays in your statement.`,
    {
      action: "Delete",
      danger: true,
      run: () => ensureDeleted(`api/conversations/${conversation.id}/`),
    },
  );
  if (deleted) done(conversation);
}
