// Functions that make elements by name. No function here accepts HTML, so text stays text.

/**
 * Makes an element. In `props`, `class` is the class, `on<event>` is a listener, `dataset` and
 * `style` are objects, and `aria-*`, `role`, `for` and the like are attributes. Any other prop is a
 * property if the element has such a property. Props and children that are false, null or undefined
 * are left out. Arrays of children are flattened.
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

const NOTHING = [null, undefined, false, ""];

function nodes(children) {
  return children.flat(Infinity).filter((child) => !NOTHING.includes(child));
}

/** Props that are set as attributes, because the properties can't be set to the same string. */
const ATTRIBUTES = ["list", "form", "spellcheck"];

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "class") element.className = value;
  else if (name === "dataset" || name === "style") Object.assign(element[name], value);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name in element && !name.includes("-") && !ATTRIBUTES.includes(name))
    element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

let ids = 0;
/** An id that no other element has. */
export const newId = (prefix = "id") => `${prefix}-${(ids += 1)}`;

/** Moves the focus to an element that isn't focusable, such as a heading or a new row. */
export function focusOn(element) {
  element.tabIndex = -1;
  element.focus();
}

/** Scrolls a strip of links sideways so that the current link is in view. The page doesn't move. */
export function showCurrent(strip) {
  const link = strip.querySelector("[aria-current]");
  if (!link) return;
  const [around, own] = [strip, link].map((element) => element.getBoundingClientRect());
  strip.scrollLeft += own.left + own.width / 2 - (around.left + around.width / 2);
}

/** The end of a list counts as in view if it is within this distance below the visible part. */
const NEAR = "300px";

/** Calls `act` whenever `element` comes into view. The result's `again()` checks again. */
export function whenSeen(element, act) {
  const options = { rootMargin: NEAR, scrollMargin: NEAR };
  const observer = new IntersectionObserver((entries) => {
    if (entries.at(-1).isIntersecting) act();
  }, options);
  observer.observe(element);
  return {
    again() {
      observer.unobserve(element);
      observer.observe(element);
    },
  };
}
