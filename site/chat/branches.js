// Which message of a conversation follows which, and the branch that leads to one of them. The
// rules are those of the API: messages without `after` are the main line, in which each follows the
// one before it. What followed a deleted message of the main line follows the one before that.

/** What the first message of a branch follows. */
export const START = "start";

/** The messages of a conversation that are known, from the newest one back. Ids sort by time. */
export class Branches {
  constructor() {
    /** The messages as the API returns them, by their ids. */
    this.chats = new Map();
    /** Whether there are no older ones. */
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

  /** Says whether older messages are left to be read. */
  reach(isWhole) {
    this.isWhole = isWhole;
    this.tree = null;
  }

  /** Forgets a message. What followed it in a branch follows the one before it. */
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

  /** What a message follows: an id, `START`, or null if that has not been read yet. */
  parent(id) {
    return this.linked().parents.get(id) ?? null;
  }

  /** What follows a message, or begins the conversation: the ids, the oldest first. */
  following(parent) {
    return this.linked().following.get(parent) ?? [];
  }

  /** The messages that lead to this one, which is the last of them. */
  upTo(id) {
    const path = [];
    for (let at = id; at && at !== START; at = this.parent(at)) path.unshift(at);
    return path;
  }

  /** The branch through a message: what leads to it, and from it to the newest one behind it. */
  through(id) {
    const path = this.upTo(id);
    const { latest } = this.linked();
    const later = (one, other) => (latest.get(one) > latest.get(other) ? one : other);
    for (let next = this.following(id); next.length > 0; next = this.following(path.at(-1)))
      path.push(next.reduce(later));
    return path;
  }

  /**
   * The order of the messages: `ids` by time, what each follows (`parents`) and is followed by
   * (`following`), and the newest message that each leads to (`latest`).
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
  // Before the first one of the main line that is known there may be others.
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
