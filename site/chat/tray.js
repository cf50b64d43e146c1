// The files above the box: those in the chat, which the AI gets with each message, and those that
// will be sent with the next message.

import { Unreadable, bytesOf, fromBase64, sizeInWords } from "../files/part.js";
import { readFile, tokensOf } from "../files/read.js";
import { textPart } from "../files/text.js";
import { patch } from "../session/api.js";
import { chosenModel, fileLimits, models } from "../session/models.js";
import { tellTabs } from "../session/tabs.js";
import { announce } from "../ui/announce.js";
import { busy, button } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { explain, plural } from "../ui/format.js";
import { icon } from "../ui/icons.js";
import { attempt, toast } from "../ui/message.js";
import { note } from "../ui/note.js";
import { isTouch } from "./box.js";
import { weights } from "./offer.js";
import { pictureFrom, readStored } from "./shelf.js";
import { inContext, isPicture } from "./weights.js";

// The prices of files are known as soon as files are shown.
await weights.read();

/**
 * The bytes of a request beside its files: the message, and the fields. In JSON, a character has at
 * most six bytes.
 */
const REST = 200_000;

/** The number of files in a chat above which their list is closed at first. */
const MANY = 3;

/**
 * The trays that have been shown, by their boxes. Of a tray, `reading` contains the files that are
 * being read, `rows` the row of each shown file, and `added` resolves when all files are read.
 */
const trays = new WeakMap();

function trayOf(composer) {
  if (!trays.has(composer)) {
    const list = h("ul", { class: "tray", "aria-label": "Files to send" });
    const summary = h("summary", {});
    const inChat = h("ul", { class: "tray", "aria-label": "Files in this chat" });
    const chat = h("details", { class: "tray-chat" }, summary, inChat);
    const warning = h("p", { class: "tray-problem", role: "alert" });
    const state = { reading: [], rows: new Map(), added: Promise.resolve() };
    trays.set(composer, { list, chat, summary, inChat, warning, ...state });
    // The box was priced before the code for files was loaded.
    queueMicrotask(() => composer.thread.priced());
  }
  return trays.get(composer);
}

// --- Adding files ---

/** Reads files one after the other, and adds them to the message. */
export async function add(composer, files) {
  const tray = trayOf(composer);
  const before = tray.added;
  composer.clear();
  const jobs = files.map((file) => ({ file, name: file.name, controller: new AbortController() }));
  tray.reading.push(...jobs);
  show(composer);
  tray.added = addJobs(composer, jobs, before);
  await tray.added;
}

async function addJobs(composer, jobs, before) {
  await before;
  const tray = trayOf(composer);
  const refused = [];
  for (const job of jobs) {
    try {
      const parts = await readJob(composer, job);
      checkSpace(composer, parts);
      composer.keep([...composer.parts, ...parts]);
      parts.forEach(({ name, cut }) => announce(`Added ${name}${cut ? `, ${cut}` : ""}.`));
    } catch (error) {
      if (error.name !== "AbortError") refused.push(`${job.file.name}: ${reasonOf(error)}`);
    }
    tray.reading = tray.reading.filter((other) => other !== job);
    show(composer);
  }
  if (refused.length > 0)
    composer.notify(
      note(
        "bad",
        refused.map((reason) => h("p", { dir: "auto" }, reason)),
      ),
    );
}

/** The reason why a file can't be sent. */
const reasonOf = (error) => (error instanceof Unreadable ? error.message : explain(error));

function readJob(composer, job) {
  const { signal } = job.controller;
  signal.throwIfAborted();
  const limits = fileLimits();
  if (!limits) throw new Unreadable("No files can be sent at the moment.");
  if (composer.parts.length >= limits.files)
    throw new Unreadable(`A message can have at most ${plural(limits.files, "file")}.`);
  const left = limits.pictures - composer.parts.filter(isPicture).length;
  const full = `A message can have at most ${plural(limits.pictures, "picture")}.`;
  const pictures = noPictures() ?? (left > 0 ? left : full);
  const progress = (share) => {
    if (job.bar) job.bar.value = share;
  };
  if (job.file.size > MANY_BYTES) announce(`Reading ${job.file.name}.`);
  return readFile(job.file, { limits, pictures, signal, progress });
}

/** The size above which reading takes a while, in bytes. */
const MANY_BYTES = 1_000_000;

/** The sentence that says that the chosen model takes no pictures, or null if it does. */
function noPictures() {
  const model = chosenModel();
  if (!model || model.pictures) return null;
  const able = models().find(({ pictures }) => pictures);
  const way = able ? ` Choose another model, such as ${able.name}.` : "";
  return `The model ${model.name} takes no pictures.${way}`;
}

/** Throws an `Unreadable` if these parts don't fit into the message or into the chat. */
function checkSpace({ parts, thread }, more) {
  const limits = fileLimits();
  const all = [...parts, ...more];
  if (all.length > limits.files)
    throw new Unreadable(`A message can have at most ${plural(limits.files, "file")}.`);
  if (all.filter(isPicture).length > limits.pictures)
    throw new Unreadable(`A message can have at most ${plural(limits.pictures, "picture")}.`);
  const count = inContext([...thread.files, ...all]).length;
  if (count > limits.context_files)
    throw new Unreadable(
      `A chat can have at most ${plural(limits.context_files, "file")}. Remove one from the chat first.`,
    );
  const size = all.reduce((sum, part) => sum + sizeOf(part), 0);
  if (size > limits.body - REST)
    throw new Unreadable("Together, the files of this message are too large. Remove one first.");
}

/** The bytes of a part in a request. */
const sizeOf = ({ data, text }) => data?.length ?? bytesOf(JSON.stringify(text));

/** Offers to turn a long text, which the user has pasted into the box, into a file. */
export async function offerFile(composer, pasted) {
  // First, the browser puts the text into the box.
  await new Promise((done) => setTimeout(done));
  const text = pasted.replaceAll(/\r\n?/g, "\n");
  const become = () => {
    composer.clear();
    const name = "pasted.txt";
    try {
      const part = { name, ...textPart(text, fileLimits().bytes) };
      const parts = [{ ...part, tokens: tokensOf(part) }];
      checkSpace(composer, parts);
      composer.keep([...composer.parts, ...parts]);
      composer.put(composer.box.value.replace(text, () => ""));
      announce(`Added ${name}.`);
    } catch (error) {
      composer.notify(note("bad", h("p", {}, error.message)));
    }
  };
  const sentence = "You pasted a long text. As a file, it stays in the chat until you remove it.";
  const action = button("Make it a file", { small: true, icon: "file", onclick: become });
  const actions = h("div", { class: "note-actions" }, action);
  composer.notify(note("info", h("p", {}, sentence), actions));
  announce(sentence);
}

// --- Showing files ---

/** Shows the files in the chat and those of the message. */
export function show(composer) {
  const tray = trayOf(composer);
  const { parts, thread } = composer;
  const { list, chat, summary, inChat, warning, reading, rows } = tray;
  const kept = inContext(thread.files);
  const shown = new Set([...parts, ...reading]);
  for (const known of rows.keys())
    if (!shown.has(known) && !kept.some(({ id }) => id === known)) rows.delete(known);
  const row = (key, make) => {
    if (!rows.has(key)) rows.set(key, make());
    return rows.get(key);
  };
  const keptRows = kept.map((file) => row(file.id, () => keptRow(composer, file)));
  const ownRows = [
    ...parts.map((part) => row(part, () => partRow(composer, part))),
    ...reading.map((job) => row(job, () => jobRow(composer, job))),
  ];
  const problem = reading.length > 0 ? "Wait until the files are read." : null;
  const refused = parts.some(isPicture) ? noPictures() : null;
  composer.problem = refused ?? problem;
  if (warning.textContent !== (refused ?? "")) warning.textContent = refused ?? "";
  if (put(inChat, keptRows)) {
    fill(summary, `${plural(kept.length, "file")} in this chat, sent with each message`);
    if (!chat.isConnected) chat.open = kept.length <= MANY && !isTouch();
  }
  put(list, ownRows);
  put(composer.tray, [kept.length > 0 && chat, ownRows.length > 0 && list, refused && warning]);
}

/**
 * Gives an element these children. Moves only children in a wrong position, because a moved element
 * loses the focus. Returns true if the children have changed.
 */
function put(element, children) {
  const wanted = children.filter(Boolean);
  const has = [...element.children];
  if (has.length === wanted.length && has.every((child, index) => child === wanted[index]))
    return false;
  has.filter((child) => !wanted.includes(child)).forEach((child) => child.remove());
  wanted.forEach((child, index) => {
    if (element.children[index] !== child)
      element.insertBefore(child, element.children[index] ?? null);
  });
  return true;
}

/** The row of a file that will be sent. */
function partRow(composer, part) {
  const { name, bytes, cut } = part;
  const face = isPicture(part) ? thumbnail(part) : icon("file");
  const remove = () => {
    const place = composer.parts.indexOf(part);
    moveOn(composer, part);
    tellRemoved(composer, `Removed ${name}.`, "Undo", () => {
      composer.keep(composer.parts.toSpliced(place, 0, part));
      return part;
    });
    composer.keep(composer.parts.filter((other) => other !== part));
  };
  return rowOf(face, name, [sizeInWords(bytes), cut].filter(Boolean).join(", "), remove);
}

function thumbnail({ name, type, data }) {
  return Object.assign(pictureFrom(fromBase64(data), { name, type }), { className: "thumbnail" });
}

/** The row of a file that is being read. */
function jobRow(composer, job) {
  job.bar = h("progress", { max: 1, value: 0, "aria-label": `Reading ${job.name}` });
  const remove = () => {
    moveOn(composer, job);
    job.controller.abort();
    const tray = trayOf(composer);
    tray.reading = tray.reading.filter((other) => other !== job);
    show(composer);
    announce(`Removed ${job.name}.`);
  };
  return rowOf(icon("file"), job.name, job.bar, remove);
}

/** The row of a file in the chat. */
function keptRow(composer, file) {
  const { id, name, bytes } = file;
  const { thread } = composer;
  const remove = () =>
    attempt(async () => {
      const read = await patch(`api/conversations/${thread.id}/`, { remove_files: [id] });
      const { files = [] } = read;
      moveOn(composer, id);
      const sentence = `Removed ${name} from the chat.`;
      tellRemoved(composer, sentence, "Add it to the next message", () => addAgain(composer, file));
      thread.hasFiles(files);
      tellTabs("changed", { ...read, files });
    });
  const face = icon("file");
  return rowOf(face, name, sizeInWords(bytes), remove, "Remove from the chat:");
}

/** Adds a file that was removed from the chat to the message. Returns the file's part. */
async function addAgain(composer, file) {
  const { name, type, data, text } = await readStored(file);
  const part = { name, type, bytes: file.bytes, tokens: file.tokens, data, text };
  checkSpace(composer, [part]);
  composer.keep([...composer.parts, part]);
  return part;
}

/**
 * Says that a file was removed, with the button `text` that takes it back. `take` returns the file's
 * part. The note stays until the user writes or sends, because readers may need a while to find it.
 */
function tellRemoved(composer, sentence, text, take) {
  const takeBack = async () => {
    try {
      const part = await take();
      announce(`Added ${part.name}.`);
      // In the meantime, the user may have written something, which removes the note.
      if (!action.isConnected) return;
      composer.clear();
      trayOf(composer).rows.get(part).querySelector("button").focus();
    } catch (error) {
      toast(reasonOf(error), { kind: "bad" });
    }
  };
  const action = button(text, { small: true, onclick: () => busy(action, takeBack) });
  const actions = h("div", { class: "note-actions" }, action);
  composer.notify(note("info", h("p", { dir: "auto" }, sentence), actions));
  announce(`${sentence} The button “${text}” is above the box.`);
}

function rowOf(face, name, about, onclick, verb = "Remove") {
  const remove = { kind: "quiet", small: true, icon: "close", label: `${verb} ${name}`, onclick };
  return h(
    "li",
    { class: "file" },
    face,
    h("span", { class: "file-name clip", title: name, dir: "auto" }, name),
    h("span", { class: "file-size" }, about),
    button(null, remove),
  );
}

/** Before a row disappears, moves the focus to the next row's button, or else to the box. */
function moveOn(composer, key) {
  const { rows } = trayOf(composer);
  const row = rows.get(key);
  if (!row?.contains(document.activeElement)) return;
  const next = row.nextElementSibling ?? row.previousElementSibling;
  (next?.querySelector("button") ?? (isTouch() ? composer.clip : composer.box)).focus();
}
