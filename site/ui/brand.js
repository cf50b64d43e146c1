// The operator's brand. The API reports it with the models, and the browser remembers it.

import { fill, h } from "./dom.js";

/** The brand in the API's fields, or null while it is unknown. */
let brand = remembered();

const places = new Map();

let titles = ["", ""];

function remembered() {
  try {
    return JSON.parse(localStorage.getItem("farebox.brand"));
  } catch {
    return null;
  }
}

/** The brand in the API's fields. Empty while it is unknown. */
export const currentBrand = () => brand ?? {};

/** Fills an element with what `show` returns, and again when the brand changes. */
export function branded(element, show) {
  places.set(element, show);
  return fill(element, show());
}

/** Shows a title in the tab, before the names of the brand and of the page. */
export function showTitle(title, page = "") {
  titles = [title, page];
  const names = [brand?.name, page].filter(Boolean).join(" ");
  document.title = [title, names].filter(Boolean).join(" · ");
}

/** Uses the brand in the API's reply, or Farebox's if the reply has none. */
export async function useBrand(shown = { name: "Farebox" }) {
  if (JSON.stringify(brand) === JSON.stringify(shown)) return;
  const { keepBrand } = await import("./rebrand.js");
  brand = shown;
  keepBrand(shown, brandFile);
  showTitle(...titles);
  for (const [element, show] of places) {
    if (element.isConnected) fill(element, show());
    else places.delete(element);
  }
}

/** The URL of one of the brand's files. */
export const brandFile = (name) => new URL(`../../../${brand.files}${name}`, import.meta.url).href;

/** The logo and the name, as a link. */
export function brandLink(href, ...more) {
  const inside = branded(h("span", { class: "brand" }), () => {
    if (!brand) return h("span", { class: "sr-only" }, "Start");
    const { name, files } = brand;
    const src = files ? brandFile("logo.svg") : new URL("favicon.svg", import.meta.url).href;
    return [
      h("img", { class: "brand-mark", src, alt: name, width: 28, height: 28 }),
      files
        ? h("span", { class: "brand-name clip", "aria-hidden": "true" }, name)
        : h("span", { class: "brand-word" }),
    ];
  });
  return h("a", { class: "brand", href }, inside, more);
}

if (brand?.files) import("./rebrand.js").then(({ useFiles }) => useFiles(brandFile));
