// The tree of a conversation's messages and the branches in it. As in the API, messages without
// `after` form the main line, in which each message follows the previous one. If a message on the
// main line is deleted, its children follow its parent.

/** Represents the parent of a message that begins the conversation. */
export const START = "start";

/**
 * The known messages of a conversation, which are read from the newest to the oldest. Ids sort by
 * time.
 */
export class Branches {
  constructor() {
    /** The messages as the API returns them, by their ids. */
    this.chats = new Map();
    /** True if all older messages are known. */
    this.isWhole = false;
    this.tree = null;
  }

  has(id) {
    return this.chats.has(id);
  }

  get(id) {
    return this.chats.get(id);
  }

  add(chat) {
    this.chats.set(chat.id, chat);
    this.tree = null;
  }

  /** Sets `isWhole`: true if all older messages have been read. */
  reach(isWhole) {
    this.isWhole = isWhole;
    this.tree = null;
  }

  /** Forgets a message. Its children in branches follow its parent. */
  remove(id) {
    const { after } = this.chats.get(id) ?? {};
    this.chats.delete(id);
    for (const chat of after ? this.chats.values() : [])
      if (chat.after === id) this.chats.set(chat.id, { ...chat, after });
    this.tree = null;
  }

  /** The id of the newest message, or null. */
  newest() {
    return this.linked().ids.at(-1) ?? null;
  }

  /** A message's parent: an id, `START`, or null if the parent hasn't been read yet. */
  parent(id) {
    return this.linked().parents.get(id) ?? null;
  }

  /** The ids of the messages that follow `parent`, oldest first. `parent` may be `START`. */
  following(parent) {
    return this.linked().following.get(parent) ?? [];
  }

  /** The path from the beginning to a message, which is its last element. */
  upTo(id) {
    const path = [];
    for (let at = id; at && at !== START; at = this.parent(at)) path.unshift(at);
    return path;
  }

  /** The branch through a message: the path to it, and from it to its newest descendant. */
  through(id) {
    const path = this.upTo(id);
    const { latest } = this.linked();
    const later = (one, other) => (latest.get(one) > latest.get(other) ? one : other);
    for (let next = this.following(id); next.length > 0; next = this.following(path.at(-1)))
      path.push(next.reduce(later));
    return path;
  }

  /**
   * The tree of the messages: `ids` by time, each message's parent (`parents`), its children
   * (`following`), and its newest descendant (`latest`).
   */
  linked() {
    this.tree ??= link(this);
    return this.tree;
  }
}

function link({ chats, isWhole }) {
  const ids = [...chats.keys()].sort();
  const main = ids.filter((id) => !chats.get(id).after);
  const oldest = ids[0] ?? "";
  // Unknown messages may precede the first known message on the main line.
  const mainBefore = (id) => main.findLast((one) => one < id) ?? (isWhole ? START : null);
  const parentOf = ({ id, after }) => {
    if (!after) return mainBefore(id);
    if (after === START || chats.has(after)) return after;
    return isWhole || after > oldest ? mainBefore(after) : null;
  };
  const parents = new Map();
  const following = new Map();
  for (const id of ids) {
    const parent = parentOf(chats.get(id));
    parents.set(id, parent);
    if (parent !== null) following.set(parent, [...(following.get(parent) ?? []), id]);
  }
  const latest = new Map(ids.map((id) => [id, id]));
  for (const id of [...ids].reverse()) {
    const parent = parents.get(id);
    if (latest.get(parent) < latest.get(id)) latest.set(parent, latest.get(id));
  }
  return { ids, parents, following, latest };
}
