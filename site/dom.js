// What both pages are built with: elements, words for times and numbers, messages, dialogs, forms, lists in pages, and the router.
//
// Nothing here takes HTML: text stays text, and every node is made by name.

import { icon } from "./icons.js";

export { icon };

// --- Elements ----------------------------------------------------------------------------------------------------------------------

/**
 * An element. `props`: `class`; `on<event>` functions; `dataset` and `style` objects; `aria-*`, `role`, `for` and the like as attributes;
 * everything else as a property where the element has one. False, null and undefined leave a prop or a child out; arrays are flattened.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** The same children, without an element around them. */
export function fragment(...children) {
  const fragment = document.createDocumentFragment();
  fragment.append(...nodes(children));
  return fragment;
}

/** Puts these children in the place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "class") element.className = value;
  else if (name === "dataset" || name === "style") Object.assign(element[name], value);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in element && !name.includes("-") && !["list", "form", "spellcheck"].includes(name)) element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

let ids = 0;
/** An id that no other element has. */
export const newId = (prefix = "id") => `${prefix}-${(ids += 1)}`;

/** A button. With `icon` and no text it needs a `label`, which is its tooltip too. */
export function button(text, { kind = "secondary", icon: name, label, small, ...props } = {}) {
  const classes = ["button", `button-${kind}`, small && "button-small", name && !text && "button-icon"].filter(Boolean).join(" ");
  const named = label ? { "aria-label": label, title: label } : {};
  return h("button", { type: "button", class: classes, ...named, ...props }, name && icon(name), text && h("span", {}, text));
}

/** A link that looks like a button. */
export function linkButton(text, href, { kind = "secondary", icon: name, small, ...props } = {}) {
  return h("a", { href, class: `button button-${kind}${small ? " button-small" : ""}`, ...props }, name && icon(name), h("span", {}, text));
}

/** Runs `work` while the button shows that it does, and takes no second press. */
export async function busy(element, work) {
  if (element.getAttribute("aria-busy") === "true") return undefined;
  element.setAttribute("aria-busy", "true");
  element.setAttribute("aria-disabled", "true");
  try {
    return await work();
  } finally {
    element.removeAttribute("aria-busy");
    element.removeAttribute("aria-disabled");
  }
}

/** A box that says something in place: `kind` is `info`, `good`, `warn` or `bad`. */
export function note(kind, ...children) {
  const name = { info: "alert", good: "check", warn: "alert", bad: "alert" }[kind];
  return h("div", { class: `note note-${kind}`, role: kind === "bad" ? "alert" : undefined }, icon(name), h("div", { class: "note-body" }, children));
}

/** Grey lines where something will stand in a moment. */
export function skeleton(lines = 3) {
  const widths = ["60%", "90%", "75%", "85%", "50%"];
  const line = (_, index) => h("div", { class: "skeleton", style: { width: widths[index % widths.length] } });
  return h("div", { class: "skeletons", role: "status" }, h("span", { class: "sr-only" }, "Loading"), Array.from({ length: lines }, line));
}

/** What stands where a list is empty. */
export function emptyState(name, title, ...children) {
  return h("div", { class: "empty" }, icon(name), h("p", { class: "empty-title" }, title), children);
}

/** A button that copies text, and says so. */
export function copyButton(text, { label = "Copy", small = true, ...props } = {}) {
  const words = h("span", {}, label);
  const element = h("button", { type: "button", class: `button button-secondary${small ? " button-small" : ""} copy`, ...props }, icon("copy"), words);
  element.addEventListener("click", async () => {
    const copied = await copy(typeof text === "function" ? text() : text);
    words.textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(copied ? "Copied." : "It could not be copied.");
    setTimeout(() => (words.textContent = label), 2000);
  });
  return element;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// --- Words for times and numbers -------------------------------------------------------------------------------------------------------

const numbers = new Intl.NumberFormat("en");
const signed = new Intl.NumberFormat("en", { signDisplay: "exceptZero" });
const times = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** `4,000` */
export const formatNumber = (number) => numbers.format(number);
/** `+4,000`, `−100` */
export const formatSigned = (number) => signed.format(number).replace("-", "−");
/** `4,000 tokens`, `1 token` */
export const formatTokens = (number) => plural(number, "token");
/** `2 chats`, `1 chat` */
export const plural = (number, word) => `${numbers.format(number)} ${word}${number === 1 ? "" : "s"}`;
/** `20 Nov 2026, 07:17` */
export const formatTime = (time) => times.format(new Date(time));
/** `20 Nov 2026` */
export const formatDay = (time) => days.format(new Date(time));

/** `just now`, `5 minutes ago`, `yesterday`; after a week the day. */
export function formatAgo(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  const ago = Math.abs(seconds);
  if (ago < 45) return "just now";
  if (ago < 3300) return relative.format(Math.round(seconds / 60), "minute");
  if (ago < 79_200) return relative.format(Math.round(seconds / 3600), "hour");
  if (ago < 7 * 86_400) return relative.format(Math.round(seconds / 86_400), "day");
  return formatDay(time);
}

/** `in 5 seconds`, `in 2 minutes` */
export function formatIn(seconds) {
  if (seconds < 100) return relative.format(Math.max(1, Math.ceil(seconds)), "second");
  if (seconds < 5400) return relative.format(Math.ceil(seconds / 60), "minute");
  return relative.format(Math.ceil(seconds / 3600), "hour");
}

/** A time as an element: `form` is one of the functions above, and the tooltip the whole time. */
export function time(value, form = formatTime) {
  return h("time", { dateTime: value, title: formatTime(value) }, form(value));
}

/** `07:17` */
export const formatClock = (value) => clock.format(new Date(value));

/** A failure in words, with when to try again. */
export function explain(error) {
  if (error?.name !== "ApiError") {
    console.error(error);
    return "Something on this page broke. Reload it and try again.";
  }
  return error.status === 429 && error.retryAfter > 1 && !/try again in/i.test(error.message) ? `${error.message} Try again ${formatIn(error.retryAfter)}.` : error.message;
}

// --- Messages ------------------------------------------------------------------------------------------------------------------------

const polite = h("div", { class: "sr-only", role: "status", "aria-live": "polite" });
const toasts = h("div", { class: "toasts", role: "region", "aria-label": "Messages" });
document.body.append(polite, toasts);

/** Says something to screen readers alone, when they have finished what they are saying. */
export function announce(text) {
  polite.textContent = "";
  // The same text twice is said twice only where it is put in anew.
  setTimeout(() => (polite.textContent = text), 60);
}

/** A message that goes by itself: `kind` is `good`, `info` or `bad` (which stays longer). `action`: `{text, run}`. */
export function toast(text, { kind = "good", action } = {}) {
  const element = h("div", { class: `toast toast-${kind}`, role: kind === "bad" ? "alert" : "status" }, icon(kind === "good" ? "check" : "alert"), h("p", {}, text));
  const remove = () => element.remove();
  if (action) {
    element.append(button(action.text, { kind: "quiet", small: true, onclick: () => (remove(), action.run()) }));
  }
  element.append(button(null, { kind: "quiet", icon: "close", label: "Dismiss", small: true, onclick: remove }));
  toasts.append(element);
  host(toasts);
  let timer = setTimeout(remove, kind === "bad" ? 12_000 : 5000);
  element.addEventListener("pointerenter", () => clearTimeout(timer));
  element.addEventListener("pointerleave", () => (timer = setTimeout(remove, 3000)));
}

/** Runs `work`, and says in a message what went wrong. Whether it went well. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error?.name !== "AbortError") toast(explain(error), { kind: "bad" });
    return false;
  }
}

/** Messages stand in the dialog that is open: what lies under it is inert. */
function host(element) {
  const open = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (element.parentElement !== open) open.append(element);
}

// --- Dialogs ---------------------------------------------------------------------------------------------------------------------------

/**
 * Opens a dialog. `content` are its nodes, or a function of `close` that gives them. Escape and the cross close it; focus goes back to where it
 * was. Resolves with what `close` was given.
 */
export function dialog(title, content, { wide = false, kind = "" } = {}) {
  return new Promise((resolve) => {
    const heading = h("h2", { id: newId("dialog"), class: "dialog-title" }, title);
    const element = h("dialog", { class: `dialog${wide ? " dialog-wide" : ""}${kind ? ` dialog-${kind}` : ""}`, "aria-labelledby": heading.id });
    let result;
    const close = (value) => {
      result = value;
      element.close();
    };
    const cross = button(null, { kind: "quiet", icon: "close", label: "Close", onclick: () => close() });
    element.append(
      h("header", { class: "dialog-head" }, heading, cross),
      h("div", { class: "dialog-body" }, typeof content === "function" ? content(close) : content),
    );
    element.addEventListener("close", () => {
      element.remove();
      host(toasts);
      resolve(result);
    });
    element.addEventListener("mousedown", (event) => {
      if (event.target === element && !element.matches(":has(input:not(:placeholder-shown))")) close();
    });
    document.body.append(element);
    element.showModal();
    host(toasts);
    (element.querySelector("[autofocus]") ?? element.querySelector(".dialog-body :is(input, textarea, select, button, a)") ?? cross).focus();
  });
}

/** Asks before something is done: whether it may be. `run` is done before the dialog closes, and its failure is shown there. */
export function confirm(title, text, { action = "OK", danger = false, run } = {}) {
  return dialog(title, (close) => {
    const failure = h("div", {});
    const yes = button(action, {
      kind: danger ? "danger" : "primary",
      onclick: () =>
        busy(yes, async () => {
          try {
            await run?.();
            close(true);
          } catch (error) {
            fill(failure, note("bad", explain(error)));
          }
        }),
    });
    const no = button("Cancel", { onclick: () => close(false), autofocus: true });
    return [h("p", {}, text), failure, h("div", { class: "dialog-actions" }, no, yes)];
  });
}

/**
 * A button that opens a few choices: `{text, icon, run, href, danger}` each. Escape, a press elsewhere and every choice close it; arrows go through
 * it. `face` is what the button shows, where it isn't an icon.
 */
export function menuButton(label, choices, { icon: name = "more", face = null, ...props } = {}) {
  const list = h("div", { class: "menu", popover: "auto", id: newId("menu") });
  const opener = h("button", { type: "button", class: `button button-quiet ${face ? "" : "button-icon button-small"}`, "aria-label": label,
    title: label, "aria-expanded": "false", "aria-controls": list.id, ...props }, face ?? icon(name));
  const entry = ({ text, icon: own, run, href, danger }) => {
    const inside = [own && icon(own), h("span", {}, text)];
    const classes = `menu-item${danger ? " menu-danger" : ""}`;
    const choose = () => {
      list.hidePopover();
      run?.();
    };
    return href ? h("a", { class: classes, href, onclick: choose }, inside) : h("button", { type: "button", class: classes, onclick: choose }, inside);
  };
  let closed = 0;
  opener.addEventListener("click", ({ detail: presses }) => {
    // The press that closed it, as one outside of it, is not to open it again.
    if (list.matches(":popover-open") || (presses > 0 && performance.now() - closed < 200)) return;
    fill(list, (typeof choices === "function" ? choices() : choices).filter(Boolean).map(entry));
    if (!list.isConnected) opener.after(list);
    list.showPopover();
    place(list, opener);
    opener.setAttribute("aria-expanded", "true");
    list.firstElementChild?.focus();
  });
  list.addEventListener("beforetoggle", ({ newState }) => {
    if (newState !== "closed") return;
    closed = performance.now();
    opener.setAttribute("aria-expanded", "false");
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const entries = [...list.children];
    entries.at((entries.indexOf(document.activeElement) + step) % entries.length).focus();
  });
  return opener;
}

function place(list, opener) {
  const box = opener.getBoundingClientRect();
  const below = box.bottom + list.offsetHeight + 8 < innerHeight;
  const left = Math.min(Math.max(8, box.right - list.offsetWidth), innerWidth - list.offsetWidth - 8);
  Object.assign(list.style, { left: `${Math.max(8, left)}px`, top: `${below ? box.bottom + 4 : Math.max(8, box.top - list.offsetHeight - 4)}px` });
}

// --- Forms -----------------------------------------------------------------------------------------------------------------------------

/**
 * A labelled input. `type` is an input's, `textarea` or `select` (with `options`: `[value, text]` each); other props go to the input. Its
 * element has `input` and `fail(sentence)`.
 */
export function field(label, name, { type = "text", hint, options, optional = false, ...props } = {}) {
  const id = newId(name);
  const tag = type === "textarea" || type === "select" ? type : "input";
  const error = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
  const about = [hint && `${id}-hint`, error.id].filter(Boolean).join(" ");
  const input = h(tag, { id, name, class: "input", ...(tag === "input" ? { type } : {}), "aria-describedby": about, ...props },
    options?.map(([value, text]) => h("option", { value }, text)));
  if (props.value !== undefined) input.value = props.value;
  input.dataset.optional = optional;
  const element = h("div", { class: "field" },
    h("label", { for: id }, label, optional && h("span", { class: "optional" }, " optional")),
    type === "password" ? shownPassword(input) : input,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    error);
  element.input = input;
  element.fail = (sentence) => {
    error.hidden = !sentence;
    fill(error, sentence && icon("alert"), sentence && h("span", {}, sentence));
    if (sentence) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  input.addEventListener("input", () => element.fail(""));
  return element;
}

function shownPassword(input) {
  const show = h("button", { type: "button", class: "password-show", "aria-pressed": "false", "aria-label": "Show password" }, "Show");
  show.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    show.setAttribute("aria-pressed", String(shown));
    show.textContent = shown ? "Hide" : "Show";
  });
  return h("div", { class: "password" }, input, show);
}

/**
 * A form of `fields` (and other nodes). `onsubmit(values)` may throw an `ApiError`: its `errors` are shown beside their fields, the rest above
 * the button. `names` tells which field shows the errors of another name, `codes` which one a failure's code is about. Nothing that was typed is
 * lost.
 */
export function form(fields, { submit, kind = "primary", onsubmit, names = {}, codes = {}, extra = [], words = explain, ...props }) {
  const own = fields.filter((node) => node.input);
  const byName = (name) => own.find(({ input }) => input.name === (names[name] ?? name));
  const failure = h("div", { class: "form-failure" });
  const go = h("button", { type: "submit", class: `button button-${kind}` }, h("span", {}, submit));
  const show = (errors, sentence) => {
    for (const node of own) node.fail("");
    let rest = sentence;
    for (const [name, sentences] of Object.entries(errors)) {
      byName(name)?.fail(sentences.join(" "));
      if (byName(name)) rest = "";
    }
    fill(failure, rest && note("bad", rest));
    own.find(({ input }) => input.hasAttribute("aria-invalid"))?.input.focus();
  };
  const element = h("form", { class: "form", noValidate: true, ...props }, fields, failure, h("div", { class: "form-actions" }, go, extra));
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries(own.map(({ input }) => [input.name, input.type === "checkbox" ? input.checked : input.value]));
    const empty = own.filter(({ input }) => input.dataset.optional === "false" && input.value === "");
    if (empty.length > 0) {
      show(Object.fromEntries(empty.map(({ input }) => [input.name, ["Please fill this in."]])), "");
      return;
    }
    busy(go, async () => {
      show({}, "");
      try {
        await onsubmit(values, element);
      } catch (error) {
        const about = codes[error?.code];
        if (error?.name !== "AbortError") show(about ? { [about]: [words(error)] } : (error.errors ?? {}), words(error));
      }
    });
  });
  return element;
}

// --- Lists in pages --------------------------------------------------------------------------------------------------------------------

/**
 * A list that grows page by page. `load(next)` gives `{items, next}`, where next is null for the first page; `row(item)` a node; `empty` what
 * stands there where there is nothing. `list` is the element that holds the rows, a `ul` where none is given; `around(list)` wraps it. Nothing that is shown is lost
 * where a page can't be had. Searches may give empty pages before the end: they are passed, up to ten at a time.
 */
export function paged({ load, row, empty, list = h("ul", { class: "list" }), around = (element) => element, more = "Show more" }) {
  const foot = h("div", { class: "paged-foot" });
  const wrapped = around(list);
  const element = h("div", { class: "paged" }, wrapped, foot);
  let next = null;
  let shown = 0;
  const go = button(more, { onclick: () => busy(go, () => add()) });

  const add = async () => {
    fill(foot, shown === 0 ? skeleton(4) : go);
    const before = shown;
    try {
      for (let pages = 0; pages < 10 && shown === before; pages += 1) {
        const page = await load(next);
        next = page.next;
        const rows = page.items.map(row);
        list.append(...rows);
        shown += rows.length;
        // Who pressed the button goes on reading at the first new row.
        if (before > 0 && rows[0]) focusOn(rows[0]);
        if (!next) break;
      }
      wrapped.hidden = shown === 0;
      fill(foot, shown === 0 && !next && empty, next && go);
      if (before > 0) announce(`${shown - before} more`);
    } catch (error) {
      if (error?.name === "AbortError") return;
      const again = button("Try again", { small: true, onclick: add });
      fill(foot, note("bad", h("p", {}, explain(error)), again));
    }
  };
  wrapped.hidden = true;
  element.ready = add();
  return element;
}

/** A table that scrolls within its box where it is too wide. `columns`: a text each, or `{text, class}`. Its rows go to `body`. */
export function table(caption, columns) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.class }, column.text ?? column));
  const body = h("tbody", {});
  const element = h("div", { class: "table-box", tabIndex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "sr-only" }, caption), h("thead", {}, h("tr", {}, head)), body));
  return { element, body };
}

// --- Colours ---------------------------------------------------------------------------------------------------------------------------

/** The switch between light and dark colours. Until somebody uses it the system's choice holds. */
export function themeSwitch() {
  const element = button(null, { kind: "quiet", icon: "moon", label: "Dark colours" });
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const show = () => {
    const label = dark() ? "Light colours" : "Dark colours";
    element.setAttribute("aria-label", label);
    element.title = label;
    fill(element, icon(dark() ? "sun" : "moon"));
  };
  element.addEventListener("click", () => {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("farebox.theme", theme);
    } catch {
      // It holds for this page, then.
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  return element;
}

// --- The router ------------------------------------------------------------------------------------------------------------------------

/** Goes to another place of this page: `#/path?query`. */
export function go(hash, { replace = false } = {}) {
  if (!replace) location.hash = hash;
  else if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.replace(hash);
}

/** Puts the focus on what can't have it by itself: a heading, a new row. */
export function focusOn(element) {
  element.tabIndex = -1;
  element.focus({ preventScroll: false });
}

/**
 * Shows in `outlet` what the address names. `routes`: `[pattern, view]` each, where a pattern is like `users/:id`, and a view is a function of
 * `{path, params, query, signal}` that gives `{title, content, focus?, shown?}`, at once or later; `signal` is aborted when the place is left. `before(place)` may
 * give a hash to go to instead. After a change of place the focus is on `focus`, or else on the first heading.
 */
export function router({ outlet, routes, name = "Farebox", before = () => null, after = () => {} }) {
  let leaving = new AbortController();
  let first = true;

  const show = async () => {
    leaving.abort();
    leaving = new AbortController();
    // What was asked at the last place is not asked at this one.
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    const { signal } = leaving;
    const place = read(routes, signal);
    const instead = before(place);
    if (instead) {
      go(instead, { replace: true });
      return;
    }
    const waiting = setTimeout(() => fill(outlet, h("div", { class: "page" }, skeleton(5))), 120);
    let view;
    try {
      view = await (place.view ?? unknownPlace)(place);
    } catch (error) {
      if (signal.aborted || error?.name === "AbortError") return;
      view = broken(error, show);
    } finally {
      clearTimeout(waiting);
    }
    if (signal.aborted) return;
    document.title = `${view.title} · ${name}`;
    // A view that is there already only changes what it shows.
    if (!(view.content instanceof Node && outlet.contains(view.content))) {
      fill(outlet, view.content);
      outlet.scrollTop = 0;
      scrollTo(0, 0);
    }
    view.shown?.();
    after(place, view);
    const target = view.focus ?? (first ? null : outlet.querySelector("h1"));
    if (target) {
      if (target.tabIndex < 0) focusOn(target);
      else target.focus();
    }
    if (!first) announce(view.title);
    first = false;
  };
  addEventListener("hashchange", show);
  show();
  return { show };
}

function read(routes, signal) {
  const [path, search = ""] = location.hash.replace(/^#?\/?/, "").split("?");
  const parts = path.replace(/\/$/, "").split("/");
  const query = Object.fromEntries(new URLSearchParams(search));
  for (const [pattern, view] of routes) {
    const params = match(pattern.split("/"), parts);
    if (params) return { path, pattern, params, query, signal, view };
  }
  return { path, pattern: null, params: {}, query, signal, view: null };
}

function match(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const params = {};
  for (const [index, part] of pattern.entries()) {
    if (part.startsWith(":") && parts[index]) params[part.slice(1)] = decode(parts[index]);
    else if (part !== parts[index]) return null;
  }
  return params;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function unknownPlace() {
  const content = h("div", { class: "page" }, h("h1", {}, "Nothing is here"), h("p", {}, "The address names no place of this page."), linkButton("Go to the start", "#/"));
  return { title: "Nothing is here", content };
}

function broken(error, again) {
  const title = error.status === 404 ? "Not found" : "This could not be shown";
  const content = h("div", { class: "page" }, h("h1", {}, title), note("bad", explain(error)), button("Try again", { icon: "repeat", onclick: again }));
  return { title, content };
}
