// The form that sends an operation's request with the session of this browser.

import { base, isSignedIn, newKey, onSessionEnded, sessionToken } from "../session/api.js";
import { busy, button } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { field } from "../ui/form.js";
import { explain, formatTokens } from "../ui/format.js";
import { note } from "../ui/note.js";
import { exampleOf, exampleParameter, messagePrice, urlOf } from "./description.js";
import { code } from "./samples.js";

/** The maximum length of a shown reply, in characters. */
const LONGEST = 100_000;

/** What sending the request does. Reading costs nothing and changes nothing. */
function consequence({ isPaid, method }, hasPrices) {
  if (isPaid) {
    const price = messagePrice();
    // Without a price list, a long message costs several times the price.
    const least = hasPrices === false && price ? `at least ${formatTokens(price)}` : "tokens";
    const words = hasPrices ? "the price of its model" : least;
    return `This sends a real message from your account. It costs ${words}, taken from your balance.`;
  }
  if (method === "GET")
    return "This reads from your account. It costs nothing and changes nothing.";
  if (method === "DELETE") return "This request really deletes, and can't be undone.";
  return "This is a real request: it changes your account or this service.";
}

/** The form that tries an operation, or a link to the log-in. */
export function tryIt(operation, hasPrices) {
  const box = h("section", { class: "docs-try", "aria-label": `Try: ${operation.summary}` });
  const opener = button("Try it", {
    icon: "send",
    small: true,
    onclick: () =>
      busy(opener, async () => {
        try {
          if (isSignedIn() || (await sessionToken())) show();
          else fill(box, loggedOut());
        } catch (error) {
          fill(box, opener, note("bad", explain(error)));
        }
        box.querySelector("input, textarea, a, button")?.focus();
      }),
  });
  const show = () => fill(box, requestForm(operation, hasPrices));
  onSessionEnded(() => {
    if (!opener.isConnected && box.isConnected)
      fill(box, note("info", "Your session has ended. "), loggedOut());
  });
  return fill(box, opener);
}

const loggedOut = () =>
  h(
    "p",
    { role: "status" },
    "You aren't logged in. ",
    h("a", { href: new URL("#/log-in", base).href }, "Log in"),
    " to send this request from here.",
  );

function requestForm(operation, hasPrices) {
  const text = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const taken = operation.parameters.filter(
    ({ in: place }) => place === "path" || place === "query",
  );
  const fields = taken.map((parameter) =>
    field(parameter.name, parameter.name, {
      ...text,
      optional: !parameter.required,
      value:
        parameter.required && parameter.schema?.format !== "uuid"
          ? exampleParameter(parameter)
          : "",
    }),
  );
  const body =
    operation.body &&
    field("Request body (JSON)", "body", {
      ...text,
      type: "textarea",
      rows: 8,
      class: "input docs-body",
      value: JSON.stringify(exampleOf(operation.body, true), null, 2),
    });
  // The request whose outcome is unknown. Under its key, the API charges for it only once.
  let sent = null;
  const reply = h("div", { class: "docs-reply", "aria-live": "polite" });
  const go = h(
    "button",
    { type: "submit", class: "button button-primary button-small" },
    "Send the request",
  );
  const element = h(
    "form",
    { novalidate: true },
    h("p", { class: "docs-consequence" }, consequence(operation, hasPrices)),
    fields,
    body,
    h("div", {}, go),
    reply,
  );
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      const values = Object.fromEntries(
        fields.map(({ input }) => [input.name, input.value.trim()]),
      );
      const missing = fields.find(
        ({ input }) => input.dataset.optional === "false" && !input.value.trim(),
      );
      if (missing) {
        missing.fail("Please fill this in.");
        missing.input.focus();
        return;
      }
      const content = body?.input.value.trim();
      if (content) {
        try {
          JSON.parse(content);
        } catch {
          body.fail("This isn't JSON.");
          body.input.focus();
          return;
        }
      }
      if (operation.method === "DELETE") {
        const isSure = await confirm(
          `${operation.summary}?`,
          "This request really deletes, and can't be undone.",
          {
            action: "Send the request",
            danger: true,
          },
        );
        if (!isSure) return;
      }
      const url = urlOf(operation, values);
      const request = `${url} ${content}`;
      if (sent?.request !== request) sent = { request, key: newKey() };
      if (await send(operation, url, { content, key: sent.key }, reply)) sent = null;
    });
  });
  return element;
}

/**
 * Sends the request, and shows the reply as it arrives. Resolves with true if the request has
 * succeeded and its whole reply has arrived.
 */
async function send({ method, hasKey, responses }, url, { content, key }, place) {
  const began = performance.now();
  fill(place, h("p", { class: "muted" }, "Sending…"));
  try {
    const token = await sessionToken();
    const headers = { Accept: accepted(responses) };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (content) headers["Content-Type"] = "application/json";
    if (hasKey) headers["Idempotency-Key"] = key;
    const response = await fetch(url, {
      method,
      headers,
      body: content || undefined,
      cache: "no-store",
      credentials: "omit",
    });
    const status = h(
      "p",
      { class: "docs-status" },
      h(
        "span",
        { class: `badge ${response.ok ? "badge-accent" : "badge-bad"}` },
        String(response.status),
      ),
      ` ${Math.round(performance.now() - began)} ms`,
    );
    const grown = h("code", {});
    fill(place, status, h("pre", { tabIndex: 0, role: "region", "aria-label": "Reply" }, grown));
    let text = "";
    const decoder = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (decoder && text.length < LONGEST) {
      const { done, value } = await decoder.read();
      if (done) break;
      text += value;
      grown.textContent = text;
    }
    decoder?.cancel().catch(() => {});
    fill(
      place,
      status,
      text
        ? code(pretty(text.slice(0, LONGEST)), "json", "Reply")
        : h("p", { class: "muted" }, "The reply has no body."),
    );
    return response.ok;
  } catch (error) {
    const isLost = error instanceof TypeError;
    fill(
      place,
      note(
        "bad",
        isLost
          ? "The server can't be reached. Check your connection and try again."
          : explain(error),
      ),
    );
    return false;
  }
}

/** The first type of a successful reply. */
function accepted(responses) {
  const content = responses.find(({ status }) => status.startsWith("2"))?.content ?? {};
  return [...Object.keys(content), "application/problem+json"].join(", ");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
