// The sessions of the account.

import { ensureDeleted, page, signOut as endSession } from "../session/api.js";
import { button } from "../ui/button.js";
import { device } from "../ui/device.js";
import { confirm } from "../ui/dialog.js";
import { h } from "../ui/dom.js";
import { formatAgo, time } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { paged } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState } from "../ui/note.js";
import { accountPage } from "./tabs.js";

/**
 * `#/account/sessions`. `signOut` ends the session of this tab; `goodbye` runs after all sessions
 * have ended. Before that, `mayLeave` asks about unsent text. Pages of earlier releases lack it.
 */
export function sessions({ signal }, signOut, goodbye, mayLeave = async () => true) {
  const row = (session) => {
    const element = h(
      "li",
      { class: "row" },
      icon("device"),
      h(
        "div",
        { class: "row-main" },
        h(
          "p",
          { class: "row-title", title: session.device ?? "" },
          device(session.device),
          session.current && [" ", h("span", { class: "badge badge-accent" }, "this session")],
        ),
        h(
          "p",
          { class: "row-about" },
          "Started ",
          time(session.began, formatAgo),
          ", last used ",
          time(session.last_used, formatAgo),
          ", ends ",
          time(session.ends),
        ),
      ),
      session.current
        ? button("Log out", { small: true, icon: "out", onclick: signOut })
        : button("End", {
            small: true,
            kind: "danger",
            "aria-label": `End the session of ${device(session.device)}`,
            onclick: end,
          }),
    );
    async function end() {
      const name = device(session.device);
      const ended = await confirm("End this session?", `${name} will be logged out.`, {
        action: "End session",
        danger: true,
        run: () => ensureDeleted(`api/user/sessions/${session.id}/`),
      });
      if (!ended) return;
      element.remove();
      toast("The session has ended.");
    }
    return element;
  };
  const everywhere = async () => {
    if (!(await mayLeave())) return;
    const ended = await confirm(
      "Log out everywhere?",
      "You will be logged out on all of your devices, including this one. API keys keep working.",
      {
        action: "Log out everywhere",
        danger: true,
        run: () => endSession({ everywhere: true }),
      },
    );
    if (ended) goodbye();
  };
  const list = paged({
    load: (next) => page(next ?? "api/user/sessions/", undefined, { signal }),
    row,
    empty: emptyState("device", "No sessions"),
  });
  return accountPage(
    "Sessions",
    "Where you are logged in. A session lasts until it expires or you end it here.",
    h("section", { class: "card", "aria-label": "Sessions" }, list),
    h(
      "p",
      { class: "page-actions" },
      button("Log out everywhere", { kind: "danger", icon: "out", onclick: everywhere }),
    ),
  );
}
