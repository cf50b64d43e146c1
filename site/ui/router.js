// The router. The part of the address after the `#` names the view to show.

import { announce } from "./announce.js";
import { showTitle } from "./brand.js";
import { button, linkButton } from "./button.js";
import { fill, h } from "./dom.js";
import { explain } from "./format.js";
import { note, skeleton } from "./note.js";

/** The time after which a placeholder replaces the previous view, in milliseconds. */
const PLACEHOLDER_AFTER = 120;

/** Opens another view of this page: `#/path?query`. */
export function go(hash, { replace = false } = {}) {
  if (!replace) location.hash = hash;
  else if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.replace(hash);
}

/**
 * Shows the view of the address in `outlet`, now and whenever the address changes.
 *
 * `views` are rows `{path, view, title?}`, where a path is like `users/:id`. A view is a function
 * of `{path, params, query, signal, title}`. It returns or resolves with `{content, title?, focus?,
 * shown?}`, or with `{instead}`, the hash of another view. A view without a title gets its row's
 * title. `signal` is aborted when the user leaves the view. `name` is the page's name, which titles
 * show behind the brand's. `start` is the text of links to the first view. `before(place)` may
 * return the hash of another view, and `after(place, view)` runs when the view is shown. After a
 * change of the address, the focus moves to `focus` or to the first heading.
 */
export function router({
  outlet,
  views,
  name,
  start = "Go to the chat",
  before = () => null,
  after = () => {},
}) {
  let leaving = new AbortController();
  let isFirst = true;

  const show = async () => {
    leaving.abort();
    leaving = new AbortController();
    // A dialog belongs to the view that opened it.
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    const { signal } = leaving;
    const place = read(views, signal);
    const instead = before(place);
    if (instead) {
      go(instead, { replace: true });
      return;
    }
    const loading = () => fill(outlet, h("div", { class: "page" }, skeleton(5)));
    const waiting = setTimeout(loading, PLACEHOLDER_AFTER);
    let view;
    try {
      view = await (place.view ?? (() => unknownPlace(start)))(place);
    } catch (error) {
      if (signal.aborted || error?.name === "AbortError") return;
      view = broken(error, start, show);
    } finally {
      clearTimeout(waiting);
    }
    if (signal.aborted) return;
    if (view.instead) {
      go(view.instead, { replace: true });
      return;
    }
    const title = view.title ?? place.title;
    showTitle(title, name);
    // A view that is already in the outlet has updated itself.
    if (!(view.content instanceof Node && outlet.contains(view.content))) {
      fill(outlet, view.content);
      outlet.scrollTop = 0;
      scrollTo(0, 0);
    }
    view.shown?.();
    after(place, view);
    const target = view.focus ?? (isFirst ? null : outlet.querySelector("h1"));
    if (target) {
      // A view with `shown` scrolls by itself.
      const options = { preventScroll: Boolean(view.shown) };
      if (target.tabIndex < 0) target.tabIndex = -1;
      target.focus(options);
    }
    if (!isFirst) announce(title);
    isFirst = false;
  };
  addEventListener("hashchange", show);
  show();
  return { show };
}

function read(views, signal) {
  const [path, search = ""] = location.hash.replace(/^#?\/?/, "").split("?");
  const parts = path.replace(/\/$/, "").split("/");
  const query = Object.fromEntries(new URLSearchParams(search));
  for (const { path: pattern, view, title } of views) {
    const params = match(pattern.split("/"), parts);
    if (params) return { path, params, query, signal, title, view };
  }
  return { path, params: {}, query, signal, view: null };
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

/** The view for an unknown address. */
function unknownPlace(start) {
  const title = "Page not found";
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, title),
    h("p", {}, "There is no page at this address."),
    linkButton(start, "#/"),
  );
  return { title, content };
}

function broken(error, start, again) {
  const isMissing = error.status === 404;
  const title = isMissing ? "Not found" : "This could not be shown";
  const content = h(
    "div",
    { class: "page" },
    h("h1", {}, title),
    note("bad", explain(error)),
    isMissing ? linkButton(start, "#/") : button("Try again", { icon: "repeat", onclick: again }),
  );
  return { title, content };
}
