// What changes a conversation: a pin, and the dialogs that rename it, give it instructions, and delete
// it.

import { announce } from "./announce.js";
import { ensureDeleted, get, patch } from "./api.js";
import { button } from "./button.js";
import { confirm, dialog } from "./dialog.js";
import { field, form } from "./form.js";
import { toast } from "./message.js";

/** Pins a conversation to the top of the list, or returns it to its day. `done` gets it then. */
export async function pin({ id, pinned }, done) {
  done(await patch(`api/conversations/${id}/`, { pinned: !pinned }));
  announce(pinned ? "Unpinned." : "Pinned.");
}

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
        done(data);
        close();
        announce("Renamed.");
      },
    });
  });
}

/** Asks for the instructions that the AI gets in a conversation. `done` gets it with them. */
export async function instruct(conversation, done) {
  // They may be newer than the list.
  const { instructions } = await get(`api/conversations/${conversation.id}/`);
  await dialog("Instructions for this chat", (close) => {
    const box = field("How should the AI answer in this chat?", "instructions", {
      type: "textarea",
      rows: 5,
      dir: "auto",
      value: instructions,
      placeholder: "For example: Answer in French.",
      hint: "The AI gets these with each of your messages in this chat, after your account's instructions, at no extra cost.",
      optional: true,
      autofocus: true,
    });
    return form([box], {
      submit: "Save",
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async (values) => {
        const data = await patch(`api/conversations/${conversation.id}/`, values);
        done(data);
        close();
        const what = data.instructions ? "saved" : "removed";
        toast(`The instructions for this chat have been ${what}.`);
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
