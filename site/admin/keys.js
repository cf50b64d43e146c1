// A user's API keys, and the buttons that revoke them.

import { del, ensureDeleted, get } from "../session/api.js";
import { button } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { keyRow } from "../ui/key.js";
import { paged } from "../ui/list.js";
import { attempt, toast } from "../ui/message.js";
import { askWhy } from "./reason.js";

/** The API keys of `user` with buttons that revoke them. `again` reads the account again. */
export function apiKeys(user, me, path, signal, again) {
  // Administrators revoke their own keys on their account page.
  const isOwn = user.id === me.id;
  const holder = h("div", {});
  const all = button("Revoke all keys", { kind: "danger", small: true, onclick: revokeAll });
  const actions = h("div", { class: "form-actions", hidden: true }, all);

  function load() {
    const list = paged({
      load: async () => ({ items: await get(`${path}api-keys/`, null, { signal }), next: null }),
      row,
      empty: h("p", { class: "muted" }, "The account has no API keys."),
      grown: (shown) => (actions.hidden = isOwn || shown === 0),
    });
    fill(holder, list);
  }

  function row(key) {
    const revoking = {
      kind: "danger",
      small: true,
      "aria-label": `Revoke ${key.name}`,
      onclick: () => revokeOne(key),
    };
    return keyRow(key, !isOwn && button("Revoke", revoking));
  }

  const revokeOne = (key) =>
    revoke({
      title: `Revoke “${key.name}”?`,
      text: "Programs that use this key stop working at once. This can't be undone.",
      action: "Revoke",
      run: (body) => ensureDeleted(`${path}api-keys/${key.id}/`, body),
      done: "The key has been revoked.",
    });

  function revokeAll() {
    return revoke({
      title: `Revoke all API keys of ${user.username}?`,
      text: "All of their programs stop working at once. This can't be undone. The user stays logged in, and can create new keys.",
      action: "Revoke all keys",
      run: (body) => del(`${path}api-keys/`, body),
      done: `All API keys of ${user.username} have been revoked.`,
    });
  }

  async function revoke({ title, text, action, run, done }) {
    if (!(await askWhy(title, text, { action, danger: true, run }))) return;
    toast(done);
    load();
    // The button that was pressed is gone, so move the focus.
    focusOn(holder.closest("section").querySelector("h2"));
    await attempt(again);
  }

  load();
  return [holder, actions];
}
