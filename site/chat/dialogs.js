// Changes to a conversation: its pin, and the dialogs that rename it, edit its instructions, and
// delete the conversation or a message.

import { ensureDeleted, get, patch } from "../session/api.js";
import { instructionsCost } from "../session/bounds.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { field, form } from "../ui/form.js";
import { toast } from "../ui/message.js";

/**
 * Pins a conversation to the top of the list, or unpins it. `done` gets the changed conversation.
 */
export async function pin({ id, pinned }, done) {
  done(await patch(`api/conversations/${id}/`, { pinned: !pinned }));
  announce(pinned ? "Unpinned." : "Pinned.");
}

/** Asks for a new title. `done` gets the renamed conversation. */
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

/** Asks for a conversation's instructions. `done` gets the changed conversation. */
export async function instruct(conversation, done) {
  // The stored instructions may be newer than those in the list.
  const { instructions } = await get(`api/conversations/${conversation.id}/`);
  await dialog("Instructions for this chat", (close) => {
    const box = field("How should the AI answer in this chat?", "instructions", {
      type: "textarea",
      rows: 5,
      dir: "auto",
      value: instructions,
      placeholder: "For example: Answer in French.",
      hint: "The AI gets these instructions with each of your messages in this chat, after your account's instructions. ",
      optional: true,
      autofocus: true,
    });
    box.hint.append(instructionsCost(box.input));
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

/** Deletes a conversation after a confirmation. `done` gets the deleted conversation. */
export async function remove(conversation, done) {
  const deleted = await confirm(
    "Delete the chat?",
    `“${conversation.title || "Untitled"}” and all its messages are deleted for good. Their cost stays in your statement.`,
    {
      action: "Delete",
      danger: true,
      run: () => ensureDeleted(`api/conversations/${conversation.id}/`),
    },
  );
  if (deleted) done(conversation);
}

const WARNING =
  "Your message and its answer are deleted for good. Their cost stays in your statement.";

/**
 * Asks before a message without an answer is removed. If `isOpen`, the message may still be
 * answered.
 */
export function deleteUnanswered(isOpen) {
  const late = "If the server still answers the message, you will find it in your history.";
  const text = isOpen ? late : "The message has no answer, and cost nothing.";
  return confirm("Delete this message?", text, { action: "Delete", danger: true });
}

/** Deletes a message after a confirmation. Resolves with true if it was deleted. */
export async function deleteMessage({ id }) {
  const deleted = await confirm("Delete this message?", WARNING, {
    action: "Delete",
    danger: true,
    run: () => ensureDeleted(`api/chat/${id}/`),
  });
  if (deleted) toast("The message has been deleted.");
  return deleted;
}
