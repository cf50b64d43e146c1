// Changes to a conversation: its pin, and the dialogs that rename it, edit its instructions, and
// delete the conversation or a message. If another device has deleted the conversation, `gone` gets
// it.

import { ensureDeleted, get, patch } from "../session/api.js";
import { instructionsCost } from "../session/instructions.js";
import { canShare } from "../session/models.js";
import { tellTabs } from "../session/tabs.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { field, form } from "../ui/form.js";
import { toast } from "../ui/message.js";
import { forget } from "./find.js";

/**
 * Pins a conversation to the top of the list, or unpins it. `done` gets the changed conversation.
 */
export async function pin(conversation, done, gone) {
  const { id, pinned } = conversation;
  const changed = await unlessGone(patch(`api/conversations/${id}/`, { pinned: !pinned }));
  if (!changed) {
    gone(conversation);
    return;
  }
  done(changed);
  announce(pinned ? "Unpinned." : "Pinned.");
}

/** Resolves with the reply, or with null if the conversation doesn't exist. */
const unlessGone = (asked) =>
  asked.catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  });

/** Asks for a new title. `done` gets the renamed conversation. */
export async function rename(conversation, done, gone) {
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
        const path = `api/conversations/${conversation.id}/`;
        const data = await unlessGone(patch(path, { title: values.title }));
        close();
        if (!data) {
          gone(conversation);
          return;
        }
        done(data);
        announce("Renamed.");
      },
    });
  });
}

/** Asks for a conversation's instructions. `done` gets the changed conversation. */
export async function instruct(conversation, done, gone) {
  // The stored instructions may be newer than those in the list.
  const read = await unlessGone(get(`api/conversations/${conversation.id}/`));
  if (!read) {
    gone(conversation);
    return;
  }
  const { instructions } = read;
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
    `“${conversation.title || "Untitled"}” and all its messages and files are deleted for good. Their cost stays in your statement.${canShare() && !conversation.expires ? " A shared copy stays until you end it in your account, under Data." : ""}`,
    {
      action: "Delete",
      danger: true,
      run: () => ensureDeleted(`api/conversations/${conversation.id}/`),
    },
  );
  if (deleted) done(conversation);
}

const warning = (files) =>
  `Your message${files ? ", its files" : ""} and its answer are deleted for good. Their cost stays in your statement.`;

/** What happens if the server still answers a message that the user deletes. */
const LATE = "If the server still answers the message, you will find it in your history.";
const LATE_TEMPORARY =
  "If the server still answers the message, it is charged, and you won't find its answer.";

/** After a confirmation, removes a `Thread` whose first message has no answer. */
export async function removeUnanswered(thread) {
  const { turns, temporary } = thread;
  const isOpen = turns.waiting.some((turn) => turn.isOpen);
  const late = temporary ? LATE_TEMPORARY : LATE;
  const text = isOpen ? late : "The message has no answer, and cost nothing.";
  const deleted = await confirm("Delete this message?", text, { action: "Delete", danger: true });
  if (!deleted || thread.id || thread.running) return;
  for (const turn of [...turns.waiting]) turns.remove(turn);
  thread.discard();
}

/** Deletes a turn's message after a confirmation. */
export async function deleteTurn(turn) {
  const { thread, chat } = turn;
  if (!(await deleteMessage(chat))) return;
  thread.hasFiles(thread.files.filter(({ id }) => !id.startsWith(`${chat.id}.`)));
  thread.turns.remove(turn);
  tellTabs("chats", thread.id);
  thread.composer.focus();
}

/** Deletes a message after a confirmation. Resolves with true if it was deleted. */
export async function deleteMessage({ id, files }) {
  const deleted = await confirm("Delete this message?", warning(files), {
    action: "Delete",
    danger: true,
    run: () => ensureDeleted(`api/chat/${id}/`),
  });
  if (!deleted) return false;
  forget(`m/${id}`);
  toast("The message has been deleted.");
  return true;
}
