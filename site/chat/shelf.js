// The files of a message, as the history shows them: pictures, and names of other files. Each file
// can be saved.

import { fromBase64, sizeInWords } from "../files/part.js";
import { get } from "../session/api.js";
import { save } from "../session/files.js";
import { button } from "../ui/button.js";
import { fill, h, whenSeen } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { attempt } from "../ui/message.js";

/**
 * The types that are drawn as pictures, with the extensions of their files. A browser draws nothing
 * else in an `<img>` from here, and these types run no script.
 */
const DRAWN = { "image/png": /\.png$/i, "image/jpeg": /\.jpe?g$/i, "image/webp": /\.webp$/i };

// The styles are loaded before the first file is shown.
await new Promise((loaded) => {
  const href = new URL("./files.css", import.meta.url).href;
  document.head.append(h("link", { rel: "stylesheet", href, onload: loaded, onerror: loaded }));
});

/** Reads a file of a message: `{name, type, data | text}`. */
export const readStored = ({ id }) => get(`api/files/${encodeURIComponent(id)}`);

/** The content of a file as bytes. */
export const contentOf = ({ data, text }) =>
  data === undefined ? new TextEncoder().encode(text) : fromBase64(data);

/** A list of a message's files. `parts` are their contents, if this page sent them. */
export function shelf(files, parts = []) {
  return h(
    "ul",
    { class: "shelf", "aria-label": "Files of this message" },
    files.map((file, index) => shown(file, parts[index])),
  );
}

function shown(file, part) {
  const { id, name, type, bytes } = file;
  const download = id && button(null, { ...saving(name), onclick: () => attempt(saveIt) });
  const saveIt = async () => {
    const content = contentOf(part ?? (await readStored(file)));
    // No browser opens this type, whatever the file contains.
    save(new Blob([content], { type: "application/octet-stream" }), savedName(file));
  };
  const size = h("span", { class: "file-size" }, sizeInWords(bytes));
  const about = [h("span", { class: "file-name clip", title: name, dir: "auto" }, name), size];
  if (!DRAWN[type]) return h("li", { class: "file" }, icon("file"), about, download);
  const frame = h("div", { class: "file-frame" });
  const draw = () => drawn(frame, file, part);
  if (part) draw();
  else once(frame, draw);
  return h("li", { class: "file-picture" }, frame, h("div", { class: "file" }, about, download));
}

/**
 * The name under which a file is saved. A picture's name ends with its type, so that no program opens it
 * as something else. Of a PDF, only the text is stored.
 */
function savedName({ name, type }) {
  if (DRAWN[type]) return DRAWN[type].test(name) ? name : `${name}.${type.slice("image/".length)}`;
  return /\.pdf$/i.test(name) ? `${name}.txt` : name;
}

const saving = (name) => ({
  kind: "quiet",
  small: true,
  icon: "download",
  label: `Download ${name}`,
});

/** Calls `act` when the element first comes into view. */
function once(element, act) {
  let isDone = false;
  whenSeen(element, () => {
    if (!isDone) act();
    isDone = true;
  });
}

/** Draws a picture into a frame. A picture that can't be read can be tried again. */
async function drawn(frame, file, part) {
  try {
    const content = contentOf(part ?? (await readStored(file)));
    fill(frame, pictureFrom(content, file));
  } catch (error) {
    const isGone = error.status === 404;
    const again = { small: true, kind: "quiet", icon: "repeat", onclick: () => drawn(frame, file) };
    fill(frame, isGone ? "This picture was deleted." : button("Show the picture", again));
  }
}

/** An `<img>` of a picture's bytes. Its blob is forgotten once it is drawn. */
export function pictureFrom(content, { name, type }) {
  const src = URL.createObjectURL(new Blob([content], { type }));
  const done = () => URL.revokeObjectURL(src);
  return h("img", { src, alt: name, onload: done, onerror: done });
}
