// The deletion of a message with its answer, after a question.

import { ensureDeleted } from "./api.js";
import { confirm } from "./dialog.js";
import { toast } from "./message.js";

const WARNING =
  "Your message and its answer are deleted for good. What they cost stays in your statement.";

/** Asks before a message without an answer is removed. It may still get one if that `isOpen`. */
export function deleteUnanswered(isOpen) {
  const late = "If the server answers it after all, you find it in your history.";
  const text = isOpen ? late : "It has no answer, and cost nothing.";
  return confirm("Delete this message?", text, { action: "Delete", danger: true });
}

/** Asks, and deletes a message. Resolves with whether it was deleted. */
export async function deleteMessage({ id }) {
  const deleted = await confirm("Delete this message?", WARNING, {
    action: "Delete",
    danger: true,
    run: () => ensureDeleted(`api/chat/${id}/`),
  });
  if (deleted) toast("The message has been deleted.");
  return deleted;
}
