// The reason that an administrator gives for a change.

import { field } from "./form.js";

/** The field for a reason. */
export function reasonField(props) {
  return field("Reason", "reason", { maxLength: 200, autocomplete: "off", ...props });
}
