// The page of a shared chat. It needs no session and sends no token: everybody who knows the link
// sees the same copy.

import { legal } from "../account/terms.js";
import { readMarkdown, showAnswer } from "../markdown/prose.js";
import { base, get, post } from "../session/api.js";
import { brandLink, showTitle, useBrand } from "../ui/brand.js";
import { busy, button, linkButton } from "../ui/button.js";
import { dialog } from "../ui/dialog.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, plural, time } from "../ui/format.js";
import { toast } from "../ui/message.js";
import { note, skeleton } from "../ui/note.js";
import { themeSwitch } from "../ui/theme-switch.js";

/** The link is the last segment of the page's address. */
const link = location.pathname.split("/").at(-1);

const PATH = `api/shares/${encodeURIComponent(link)}`;

/** Why an answer is incomplete. */
const CUT = {
  length: "The answer was cut off at its maximum length.",
  content_filter: "The provider's content filter ended the answer.",
  stopped: "The answer was stopped.",
};

const main = document.getElementById("main");

fill(
  document.getElementById("frame"),
  brandLink(base.href),
  h("div", { class: "topbar-rest" }, themeSwitch()),
);

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  focusOn(main);
});

showTitle("Shared chat");
show();

// The page works without the brand.
get("api/models", undefined, { open: true })
  .then(({ brand }) => useBrand(brand))
  .catch(() => {});

async function show() {
  fill(main, skeleton(5));
  try {
    // A long chat takes less time to lay out if no answer is shown as written first.
    const [chat] = await Promise.all([get(PATH, undefined, { open: true }), readMarkdown()]);
    draw(chat);
  } catch (error) {
    refuse(error);
  }
}

function draw({ title, author, shared, messages }) {
  showTitle(title);
  const by = author ? ["Shared by ", h("bdi", {}, author), " on "] : "Shared on ";
  const when = time(shared);
  const report = button("Report", {
    small: true,
    kind: "quiet",
    icon: "alert",
    onclick: () => reportIt(),
  });
  fill(
    main,
    h("h1", { dir: "auto" }, title),
    h(
      "p",
      { class: "lead" },
      by,
      when,
      `. A copy of a chat with ${plural(messages.length, "message")}. An AI wrote the answers, which may be wrong.`,
    ),
    h("ol", { class: "shared", "aria-label": "Messages" }, messages.map(turn)),
    h("p", { class: "page-actions" }, report),
    legal(),
  );
}

function turn({ message, answer, model, cut, files }) {
  const body = h("div", { class: "prose", dir: "auto" });
  showAnswer(body, answer);
  return h(
    "li",
    { class: "shared-turn" },
    h("h2", { class: "sr-only" }, "Message"),
    h("p", { class: "shared-said", dir: "auto" }, message),
    files && note("info", `With ${plural(files, "file")}, not shown here.`),
    h("h2", { class: "shared-model" }, h("span", { class: "sr-only" }, "Answer by "), model),
    body,
    cut && note("info", CUT[cut] ?? "The answer is incomplete."),
  );
}

/** Says why the chat can't be shown. After a temporary failure, the reader can try again. */
function refuse(error) {
  const isGone = error.status === 404;
  const title = isGone ? "Not shared" : "The chat couldn't be loaded";
  const again = button("Try again", { icon: "repeat", onclick: () => busy(again, show) });
  showTitle(title);
  fill(
    main,
    h("h1", {}, title),
    h("p", {}, explain(error)),
    isGone ? linkButton("Go to the start", base.href) : again,
    legal(),
  );
}

function reportIt() {
  return dialog("Report this chat", (close) => {
    const reason = field("What is wrong with it?", "reason", {
      maxLength: 200,
      required: true,
      autofocus: true,
      autocomplete: "off",
      hint: "The administrators of this service can read your report and end the shared chat.",
    });
    return form([reason], {
      submit: "Report",
      extra: button("Cancel", { onclick: () => close() }),
      onsubmit: async ({ reason: text }) => {
        await post(`${PATH}/reports`, { reason: text }, { open: true });
        close();
        toast("Thank you. The administrators can see that this chat was reported.");
      },
    });
  });
}
