// The administrator's reason for a change, and the confirmation before a change.

import { button } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain } from "../ui/format.js";

/** The field for a reason. */
export function reasonField(props) {
  return field("Reason", "reason", { maxLength: 200, autocomplete: "off", ...props });
}

/**
 * Asks for confirmation and a reason. Runs `run(body)` before the dialog closes, and shows a
 * failure in the dialog. `body` contains the reason if the administrator gave one. `more` are nodes
 * above the reason. Resolves with true if the change was confirmed and succeeded.
 */
export function askWhy(title, text, { action, danger = false, more = [], run, words = explain }) {
  return dialog(title, (close) => {
    const reason = reasonField({ optional: true, hint: "Shown in the audit log." });
    return [
      h("p", {}, text),
      form([...more, reason], {
        submit: action,
        kind: danger ? "danger" : "primary",
        extra: [button("Cancel", { onclick: () => close() })],
        words,
        onsubmit: async (values) => {
          const why = values.reason.trim();
          await run(why ? { reason: why } : {});
          close(true);
        },
      }),
    ];
  });
}
