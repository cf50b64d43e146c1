// The folders in the sidebar: the chats in them, their names and their instructions. Loaded with
// the first page of the list of chats.

import { ensureDeleted, get, page, patch, post } from "../session/api.js";
import { instructionsCost } from "../session/instructions.js";
import { onTold, tellTabs } from "../session/tabs.js";
import { announce } from "../ui/announce.js";
import { button } from "../ui/button.js";
import { confirm, dialog } from "../ui/dialog.js";
import { fill, h, newId } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { menuButton } from "../ui/menu.js";
import { attempt, toast } from "../ui/message.js";
import { skeleton } from "../ui/note.js";
import { go } from "../ui/router.js";

/** How many chats of a folder are read at a time, and in how many requests at most. */
const PAGE = 30;
const REQUESTS = 5;

/** The maximum length of a name, in characters. */
const LONGEST = 60;

/** The name under which the browser remembers the folders that are open. */
const OPEN = "farebox.folders";

const styles = new URL("./folders.css", import.meta.url).href;
document.head.append(h("link", { rel: "stylesheet", href: styles }));

/** The sections of the folders by id, in their order. */
let sections = new Map();

/** The list of chats in the sidebar: `{add, arrange}`. */
let chats = null;

/** The element that contains the sections. */
let shelf = null;

const heading = h("h2", { class: "sidebar-title", id: newId("folders") }, "Folders");
const fresh = button(null, {
  kind: "quiet",
  small: true,
  icon: "plus",
  label: "New folder",
  onclick: () => attempt(() => create()),
});
const head = h("div", { class: "folders-head" }, heading, fresh);

/**
 * Reads the folders, and shows them in `element`. `list` is the list of chats: `add(conversations)`
 * adds rows and returns the new ones, and `arrange()` moves all rows to their places. Each change of
 * the folders is a `folders` event of the window.
 */
export async function showFolders(element, list) {
  [chats, shelf, sections] = [list, element, new Map()];
  // The previous release doesn't have this endpoint. Without folders, the chats are shown by day.
  const all = await get("api/folders/").catch(() => null);
  if (all !== null && shelf === element) use(all);
}

/** The folder with this id, or undefined. */
export const folder = (id) => sections.get(id)?.folder;

/** Shows a thread's folder above its title. */
export function label({ conversation, heading, head }) {
  const known = head.querySelector(".thread-folder");
  const name = folder(conversation.folder_id)?.name;
  if (!name) {
    known?.remove();
    return;
  }
  const element = known ?? h("p", { class: "thread-folder clip" });
  const word = h("span", { class: "sr-only" }, "Folder: ");
  fill(element, icon("folder"), word, h("span", { dir: "auto" }, name));
  heading.before(element);
}

/** The choices in a conversation's menu. `done` gets the moved conversation. */
export const choices = (conversation, done) => [
  {
    text: "Move to a folder",
    icon: "folder",
    run: () => attempt(() => choose(conversation, done)),
  },
];

/** The element that contains the rows of a folder's chats, or undefined. */
export const listOf = (id) => sections.get(id)?.list;

onTold("folders", (all) => shelf && use(all));

/** Shows this list of folders. */
function use(all) {
  const known = sections;
  const section = (one) => known.get(one.id)?.show(one) ?? new Section(one);
  sections = new Map(all.map((one) => [one.id, section(one)]));
  const elements = [...sections.values()].map(({ element }) => element);
  const focused = shelf.contains(document.activeElement) ? document.activeElement : null;
  fill(
    shelf,
    head,
    elements.length > 0 && h("ul", { class: "folders", "aria-labelledby": heading.id }, elements),
  );
  // Moving a section takes the focus away from it.
  if (focused?.isConnected) focused.focus();
  else if (focused) fresh.focus();
  chats.arrange();
  for (const one of sections.values()) if (one.isOpen && !one.isRead) one.load();
  dispatchEvent(new Event("folders"));
}

/** Shows a changed list of folders in all tabs. */
function change(all) {
  use(all);
  tellTabs("folders", all);
}

const allFolders = () => [...sections.values()].map((section) => section.folder);

/** Shows a folder that the API has returned, at the position `to` if it was moved. */
function replace(changed, to) {
  const all = allFolders();
  const at = all.findIndex(({ id }) => id === changed.id);
  const rest = all.filter(({ id }) => id !== changed.id);
  change(rest.toSpliced(to ?? (at < 0 ? rest.length : at), 0, changed));
}

// --- A folder ---

class Section {
  constructor(one) {
    this.list = h("ul", { class: "conversations" });
    this.foot = h("div", { class: "folder-foot" });
    this.inside = h("div", { id: newId("folder"), hidden: true }, this.list, this.foot);
    this.name = h("span", { class: "clip", dir: "auto" });
    this.opener = h(
      "button",
      {
        type: "button",
        class: "folder-opener",
        "aria-expanded": "false",
        "aria-controls": this.inside.id,
        onclick: () => this.toggle(!this.isOpen),
      },
      icon("right"),
      this.name,
    );
    this.menu = menuButton("More about the folder", () => this.choices());
    const head = h("div", { class: "folder-head" }, this.opener, this.menu);
    this.element = h("li", { class: "folder" }, head, this.inside);
    this.isRead = false;
    this.next = null;
    this.show(one);
    if (openOnes().includes(one.id)) this.toggle(true, false);
  }

  /** Shows this version of the folder. Returns the section. */
  show(one) {
    this.folder = one;
    this.name.textContent = one.name;
    this.opener.title = one.name;
    this.list.setAttribute("aria-label", `Chats in ${one.name}`);
    const label = `More about the folder ${one.name}`;
    this.menu.setAttribute("aria-label", label);
    this.menu.title = label;
    return this;
  }

  get isOpen() {
    return !this.inside.hidden;
  }

  toggle(open, reads = true) {
    this.inside.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    const { id } = this.folder;
    const others = openOnes().filter((other) => other !== id);
    remember(open ? [...others, id] : others);
    if (open && reads && !this.isRead) this.load();
  }

  /** Reads more of the folder's chats. Several pages may contain none of them. */
  async load(pressed = false) {
    if (this.isLoading) return;
    this.isLoading = true;
    if (!this.isRead) fill(this.foot, skeleton(2));
    const again = (text) =>
      button(text, { kind: "quiet", small: true, onclick: () => this.load(true) });
    try {
      const added = [];
      for (let requests = 0; requests < REQUESTS && added.length === 0; requests += 1) {
        if (this.isRead && !this.next) break;
        const query = this.next ? undefined : { folder_id: this.folder.id, limit: PAGE };
        const { items, next } = await page(this.next ?? "api/conversations/", query);
        [this.isRead, this.next] = [true, next];
        added.push(...chats.add(items));
      }
      if (pressed) (added[0]?.link ?? this.opener).focus();
      const none = h("p", { class: "sidebar-empty" }, "No chats in this folder yet.");
      fill(this.foot, this.next ? again("Show more") : none);
    } catch (error) {
      fill(this.foot, h("p", { class: "sidebar-empty" }, explain(error)), again("Try again"));
    } finally {
      this.isLoading = false;
    }
  }

  choices() {
    const { id } = this.folder;
    const all = allFolders();
    const at = all.findIndex((one) => one.id === id);
    const to = (position) => () => attempt(() => this.move(position));
    const run = (how) => () => attempt(() => how(this.folder));
    return [
      { text: "New chat in this folder", icon: "plus", run: () => this.begin() },
      { text: "Rename", icon: "pencil", run: run(rename) },
      { text: "Instructions", icon: "info", run: run(instruct) },
      at > 0 && { text: "Move up", icon: "up", run: to(at - 1) },
      at < all.length - 1 && { text: "Move down", icon: "down", run: to(at + 1) },
      { text: "Delete", icon: "trash", danger: true, run: run(remove) },
    ];
  }

  begin() {
    this.toggle(true);
    // A link in the sidebar would also close the drawer.
    document.querySelector(".sidebar.open .drawer-closer")?.click();
    go(`#/?folder=${this.folder.id}`);
  }

  async move(position) {
    replace(await patch(`api/folders/${this.folder.id}/`, { position }), position);
    announce("Moved.");
    this.menu.focus();
  }
}

/** The ids of the folders that are open in this browser. */
function openOnes() {
  try {
    return JSON.parse(localStorage.getItem(OPEN)) ?? [];
  } catch {
    return [];
  }
}

function remember(ids) {
  try {
    localStorage.setItem(OPEN, JSON.stringify(ids.slice(-100)));
  } catch {
    // Without storage, all folders are closed after a reload.
  }
}

// --- Dialogs ---

const nameField = (value = "") =>
  field("Name", "name", { value, maxLength: LONGEST, required: true, autofocus: true });

function instructionsField(value = "", more = {}) {
  const box = field("How should the AI answer in this folder?", "instructions", {
    type: "textarea",
    rows: 5,
    dir: "auto",
    value,
    placeholder: "For example: Answer in French.",
    hint: "The AI gets these instructions with each of your messages in this folder, after your account's instructions and before those of the chat. ",
    optional: true,
    ...more,
  });
  box.hint.append(instructionsCost(box.input));
  return box;
}

const cancel = (close) => button("Cancel", { onclick: () => close() });

/** Asks for a new folder. Resolves with the folder, or with undefined. */
function create() {
  return dialog("New folder", (close) =>
    form([nameField(), instructionsField()], {
      submit: "Create",
      extra: cancel(close),
      onsubmit: async (values) => {
        const made = await post("api/folders/", values);
        replace(made);
        close(made);
        announce(`The folder ${made.name} has been created.`);
      },
    }),
  );
}

function rename({ id, name }) {
  return dialog("Rename the folder", (close) =>
    form([nameField(name)], {
      submit: "Rename",
      extra: cancel(close),
      onsubmit: async (values) => {
        replace(await patch(`api/folders/${id}/`, values));
        close();
        announce("Renamed.");
      },
    }),
  );
}

async function instruct({ id }) {
  // Another device may have changed the instructions.
  const all = await get("api/folders/");
  const { name, instructions } = all.find((one) => one.id === id) ?? folder(id);
  await dialog(`Instructions for ${name}`, (close) =>
    form([instructionsField(instructions, { autofocus: true })], {
      submit: "Save",
      extra: cancel(close),
      onsubmit: async (values) => {
        const changed = await patch(`api/folders/${id}/`, values);
        replace(changed);
        close();
        const what = changed.instructions ? "saved" : "removed";
        toast(`The instructions for this folder have been ${what}.`);
      },
    }),
  );
}

async function remove({ id, name }) {
  const deleted = await confirm(
    "Delete the folder?",
    `“${name}” and its instructions are deleted. Its chats stay, without a folder.`,
    { action: "Delete", danger: true, run: () => ensureDeleted(`api/folders/${id}/`) },
  );
  if (!deleted) return;
  change(allFolders().filter((one) => one.id !== id));
  toast(`The folder “${name}” was deleted. Its chats are below.`);
}

/** The choice that makes a new folder. */
const FRESH = "new";

/** Asks for the folder of a conversation. `done` gets the moved conversation. */
async function choose({ id, folder_id: now }, done) {
  const moved = await dialog("Move to a folder", (close) => {
    const options = [
      ["", "No folder"],
      ...allFolders().map((one) => [one.id, one.name]),
      [FRESH, "New folder"],
    ];
    const value = folder(now) ? now : "";
    const props = { type: "select", options, value, optional: true, autofocus: true };
    const select = field("Folder", "folder_id", props);
    select.querySelector(".optional").remove();
    return form([select], {
      submit: "Move",
      extra: cancel(close),
      onsubmit: async ({ folder_id: chosen }) => {
        const to = chosen === FRESH ? (await create())?.id : chosen;
        if (to === undefined) return;
        done(await patch(`api/conversations/${id}/`, { folder_id: to }));
        close(to);
        const name = folder(to)?.name;
        toast(
          name
            ? `The chat is in the folder “${name}” now.`
            : "The chat isn't in a folder any more.",
        );
      },
    });
  });
  // The row is hidden in a closed folder, and with it the button that had the focus.
  if (document.activeElement === document.body) sections.get(moved)?.opener.focus();
}
