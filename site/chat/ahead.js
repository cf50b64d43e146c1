// Requests what the page needs in addition to its own scripts, before these have arrived: the
// scripts of the log-in, or those of a session, and the session itself. Otherwise each of them
// would wait for the one before it.

import { get, isLikely, resume } from "../session/api.js";

/** The scripts of the log-in, and those of the other views without a session. */
const LOG_IN = ["account/log-in.js", "ui/form.js"];
const GUESTS = [...LOG_IN, "account/guests.js"];

/** The scripts that a session needs: the frame around its views, and the conversations. */
const SESSION = [
  "chat/app.js",
  "chat/thread.js",
  "chat/sidebar.js",
  "chat/composer.js",
  "session/models.js",
  "session/user.js",
  "session/tabs.js",
  "session/shop.js",
  "session/usual.js",
  "account/choice.js",
  "ui/lazy.js",
  "chat/unfinished.js",
  "chat/drafts.js",
  "chat/box.js",
  "chat/offer.js",
  "chat/branches.js",
  "chat/turns.js",
  "chat/turn.js",
  "chat/receipt.js",
  "markdown/prose.js",
];

/** Requests scripts without running them. */
function preload(paths) {
  const link = (path) =>
    Object.assign(document.createElement("link"), {
      rel: "modulepreload",
      href: new URL(`../${path}`, import.meta.url).href,
      fetchPriority: "low",
    });
  document.head.append(...paths.map(link));
}

/** Requests the scripts of a session, unless they were requested before. */
export const preloadSession = () => preload(SESSION.splice(0));

/** The replies about the account, as promises: the profile, the newest message and the models. */
export function readAccount() {
  const replies = [get("api/user/profile/"), get("api/chat/", { limit: 1 }), get("api/models")];
  // The page handles a failure when it needs the reply.
  for (const reply of replies) reply.catch(() => {});
  return replies;
}

/**
 * Continues the browser's session. Resolves with the replies about the account, as promises, or with
 * null if there is no session.
 */
export function beginning() {
  const begun = first ?? begin();
  first = null;
  return begun;
}

const begin = async () => ((await resume()) ? readAccount() : null);

if (isLikely()) preloadSession();
else preload(/^#\/(register|forgotten|reset|verify)/.test(location.hash) ? GUESTS : LOG_IN);

/** The first attempt, which doesn't wait for the page's scripts. */
let first = begin();
first.catch(() => {});
