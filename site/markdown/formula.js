// Formulas: Temml converts TeX to MathML. The page brings a font for formulas, because not every
// system has one.

import { h } from "../ui/dom.js";
import { lazy } from "../ui/lazy.js";

const library = lazy(async () => {
  const { default: module } = await import("../vendor/temml/temml.min.mjs");
  for (const path of ["../vendor/temml/temml.css", "../vendor/stix/stix-two-math.css"])
    document.head.append(
      h("link", { rel: "stylesheet", href: new URL(path, import.meta.url).href }),
    );
  return module;
});

/** The maximum length and depth. Other formulas are shown as they were written. */
const LONGEST = 4000;
const DEEPEST = 60;

/** The fixed cost of a formula in an answer's budget, in addition to its characters. */
const EACH = 20;

/** Matches formulas that define commands, because their expansion could be very long. */
const DEFINES =
  /\\(?:[egx]?def|let|futurelet|(?:re|provide)?newcommand|providecommand)(?![A-Za-z])/;

const OPTIONS = { throwOnError: true, trust: false, maxSize: [30, 30], maxExpand: 200 };

const words = (...lines) => new Set(lines.join(" ").split(" "));

/** The elements and attributes that the library may make. */
const ELEMENTS = words(
  "math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot",
  "mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none",
);
const ATTRIBUTES = words(
  "accent accentunder align class columnalign columnlines columnspacing columnspan depth display",
  "displaystyle fence form height largeop linethickness lspace mathbackground mathcolor mathsize",
  "mathvariant maxsize minsize movablelimits notation rowalign rowlines rowspacing rowspan rspace",
  "scriptlevel separator stretchy style symmetric voffset width",
);

/**
 * Returns the MathML of a formula, or its source if the formula is invalid. If the library isn't
 * loaded yet, adds it to `lacking`. `budget.formulas` is the number of formula characters in the
 * answer that may still be laid out.
 */
export function formula({ content, markup, block }, { lacking, budget }) {
  const source = h("span", { class: "formula", dir: "ltr" }, markup);
  const cost = EACH + content.length;
  if (content.length > LONGEST || cost > budget.formulas || DEFINES.test(content)) return source;
  budget.formulas -= cost;
  if (!library.module) {
    lacking.add(library);
    return source;
  }
  try {
    const box = h("span", {});
    library.module.render(content, box, { ...OPTIONS, displayMode: block });
    const [math] = box.children;
    return math && isAllowed(math, 0) ? math : source;
  } catch {
    return source;
  }
}

/** Matches a distance so large that it would move a part of a formula over other text. */
const FAR = /-\d{2}/;

/**
 * Returns true if an element contains only allowed elements. Removes attributes that aren't
 * allowed.
 */
function isAllowed(element, depth) {
  if (depth > DEEPEST || !ELEMENTS.has(element.localName)) return false;
  for (const { name, value } of [...element.attributes])
    if (!ATTRIBUTES.has(name)) element.removeAttribute(name);
    else if (FAR.test(value)) return false;
  return [...element.children].every((child) => isAllowed(child, depth + 1));
}
