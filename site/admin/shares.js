// The reports about shared chats.

import { base, del, ensureDeleted, page } from "../session/api.js";
import { button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { time } from "../ui/format.js";
import { paged, stackedTable } from "../ui/list.js";
import { toast } from "../ui/message.js";
import { emptyState } from "../ui/note.js";
import { askWhy } from "./reason.js";

const PATH = "api/admin/shares/";

/** `#/shares` */
export function sharesView({ signal, title }) {
  const holder = h("div", {});
  const heading = h("h1", {}, title);
  const show = () => fill(holder, reports(signal, changed));
  const changed = (said) => {
    toast(said);
    show();
    focusOn(heading);
  };
  show();
  return {
    content: h(
      "div",
      { class: "page page-wide" },
      heading,
      h(
        "p",
        { class: "lead" },
        "What readers have reported about shared chats. A report is kept for 90 days, or until the chat is ended or the report is dismissed.",
      ),
      holder,
    ),
  };
}

/** The list of all reports, newest first. */
function reports(signal, changed) {
  const table = stackedTable("Reports, newest first", [
    { text: "Reported", head: true },
    { text: "Reason", class: "labelled" },
    { text: "Shared chat", class: "labelled" },
    { text: "Author", class: "labelled" },
    { text: "Actions", class: "labelled" },
  ]);
  const row = (report) =>
    table.row([
      time(report.reported),
      h("span", { dir: "auto" }, report.reason),
      report.link ? chatLink(report) : "Ended",
      report.user_id ? h("a", { href: `#/users/${report.user_id}` }, report.username) : "",
      h(
        "div",
        { class: "toolbar" },
        report.link && endButton(report, changed),
        dismissal(report, changed),
      ),
    ]);
  return paged({
    load: (next) => page(next ?? PATH, next ? undefined : { limit: 50 }, { signal }),
    row,
    list: table.body,
    around: () => table.element,
    empty: emptyState("check", "No reports"),
  });
}

const chatLink = ({ link, title }) =>
  h(
    "a",
    { href: new URL(`s/${link}`, base).href, target: "_blank", rel: "noopener", dir: "auto" },
    title,
  );

function endButton({ share_id: id, title }, changed) {
  const end = async () => {
    const ended = await askWhy(
      "End this shared chat?",
      `“${title}” can't be read under its link any more, and the copy is deleted. The author keeps the chat.`,
      { action: "End", danger: true, run: (body) => del(`${PATH}${id}/`, body) },
    );
    if (ended) changed("The chat is no longer shared.");
  };
  return button("End", {
    small: true,
    kind: "danger",
    "aria-label": `End the shared chat ${title}`,
    onclick: end,
  });
}

function dismissal({ id, share_id: share, reason }, changed) {
  const dismiss = async () => {
    const done = await askWhy(
      "Dismiss this report?",
      "The report is deleted. The chat stays shared.",
      {
        action: "Dismiss",
        run: (body) => ensureDeleted(`${PATH}${share}/reports/${id}/`, body),
      },
    );
    if (done) changed("The report has been dismissed.");
  };
  return button("Dismiss", {
    small: true,
    "aria-label": `Dismiss the report ${reason}`,
    onclick: dismiss,
  });
}
