// The form that edits the packs of tokens that users can buy.

import { ApiError, get, request } from "../session/api.js";
import { button, linkButton } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { fill, focusOn, h, newId } from "../ui/dom.js";
import { field, form, wholeNumber } from "../ui/form.js";
import { explain, inCurrency, time } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { formatPrice } from "../ui/purchase.js";
import { cards, isSame, showConflict } from "./cards.js";
import { author } from "./people.js";

const PATH = "api/admin/packs/";
export const PACKS_PLACE = "#/purchases/packs";

const TEXT = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };

/** `#/purchases/packs` */
export async function packsView({ signal, title }, me, reload) {
  const read = await get(PATH, null, { signal });
  const tools = [
    linkButton("History", "#/trail?act=packs", { kind: "quiet", icon: "history" }),
    read.packs &&
      button("Stop selling", {
        kind: "danger",
        icon: "trash",
        onclick: () => stop(read.version, reload),
      }),
  ];
  const content = h(
    "div",
    { class: "page page-wide" },
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, title),
      h("div", { class: "toolbar admin-head" }, tools),
    ),
    h("p", { class: "lead" }, about(read, me)),
    editor(read, me, reload),
  );
  return { content };
}

/** Who set the packs, and when. */
function about({ packs, author: by, time: set }, me) {
  if (!packs)
    return inCurrency("No tokens are on sale. Users can buy the packs that you add here.");
  const who = by && [" Set by ", author(by, me), set && [", ", time(set)], "."];
  return ["Users see the packs in this order.", who];
}

async function stop(version, reload) {
  const stopped = await confirm(
    "Stop selling?",
    inCurrency(
      "Users can't buy tokens any more. Payments already under way will still be credited.",
    ),
    {
      action: "Stop selling",
      danger: true,
      run: () => request("PUT", PATH, { body: { packs: null, version } }),
      words: (error) =>
        error.code === "packs_changed"
          ? "The packs have been changed in the meantime. Reload the page to see the newer ones."
          : explain(error),
    },
  );
  if (!stopped) return;
  await attempt(reload);
  toast("Sales have been stopped.");
}

/** The form with the packs. Saving it replaces the version that was read. */
function editor(read, me, reload) {
  let { version } = read;
  const list = cards({
    add: "Add a pack",
    fresh: () => fresh(list.rows.at(-1)?.currency()),
    make: packCard,
  });
  const conflict = h("div", { class: "admin-conflict" });
  list.load(read.packs ?? [fresh()]);

  /**
   * Returns the packs in the form. Throws an error that names the fields without a whole number.
   */
  function written() {
    const errors = {};
    const packs = list.rows.map((row) => row.written(errors));
    const refuse = (detail) => {
      throw new ApiError({ status: 400, code: "invalid_fields", detail, errors });
    };
    if (packs.length === 0) refuse("Add a pack, or stop selling.");
    if (Object.keys(errors).length > 0) refuse("Enter whole numbers.");
    return packs;
  }

  async function save() {
    fill(conflict);
    const packs = written();
    try {
      await request("PUT", PATH, { body: { packs, version } });
    } catch (error) {
      if (error.code !== "packs_changed") throw error;
      const newer = await get(PATH);
      // The reply to an earlier attempt may have been lost.
      if (!isSame(newer.packs, packs)) {
        const what = newer.packs ? "The packs were changed" : "The packs were removed";
        showConflict(conflict, { what, name: "newer packs", newer, load: loadNewer, me });
        return;
      }
    }
    // Reload the view. Otherwise the API would refuse the next change, because it would be based on
    // old packs.
    await attempt(reload);
    toast("The packs have been saved.");
  }

  async function loadNewer() {
    const newer = await get(PATH);
    version = newer.version;
    list.load(newer.packs ?? [fresh()]);
    fill(conflict);
    focusOn(list.rows[0].heading);
    toast("The newer packs have been loaded.");
  }

  return form([list.element, h("div", {}, list.add), conflict], {
    submit: "Save the packs",
    "aria-label": "Packs",
    fields: () => list.rows.flatMap((row) => row.fields()),
    onsubmit: save,
  });
}

/** A new pack, in the same currency as the previous pack. */
const fresh = (currency = "") => ({ id: "", name: "", tokens: "", price: "", currency });

/**
 * The fields of a pack: `{element, heading, fields, number, currency, written}`. `number(index)`
 * names the fields by the pack's position, and `written(errors)` returns the pack.
 */
function packCard(pack, tools) {
  const parts = {
    name: field("Name", "name", {
      value: pack.name,
      maxLength: 200,
      autocomplete: "off",
      hint: "Users see it when they pay.",
    }),
    id: field("Id", "id", {
      ...TEXT,
      value: pack.id,
      maxLength: 32,
      hint: "Lowercase letters, digits and hyphens.",
    }),
    tokens: field(inCurrency("Tokens"), "tokens", {
      ...TEXT,
      inputMode: "numeric",
      value: pack.tokens,
    }),
    price: field("Price", "price", {
      ...TEXT,
      inputMode: "numeric",
      value: pack.price,
      hint: " ",
    }),
    currency: field("Currency", "currency", {
      ...TEXT,
      value: pack.currency,
      maxLength: 3,
      hint: "Three capital letters, such as EUR.",
    }),
  };
  const heading = h("h2", { id: newId("pack") });
  const element = h(
    "section",
    { class: "card", "aria-labelledby": heading.id },
    h("div", { class: "card-head" }, heading, tools.element),
    h("div", { class: "fields" }, Object.values(parts)),
  );
  const text = (key) => parts[key].input.value.trim();

  /** Shows the name in the heading, and the price as users read it. */
  function show() {
    heading.textContent = text("name") || "New pack";
    tools.name(text("name") || "the new pack");
    const price = wholeNumber(text("price"));
    const isKnown = price !== null && /^[A-Z]{3}$/.test(text("currency"));
    const worth = isKnown ? ` This is ${formatPrice(price, text("currency"))}.` : "";
    parts.price.querySelector(".hint").textContent = `In the smallest unit, such as cents.${worth}`;
  }

  element.addEventListener("input", show);
  return {
    element,
    heading,
    fields: () => Object.values(parts),
    number(index) {
      for (const [key, { input }] of Object.entries(parts)) input.name = `packs[${index}].${key}`;
      show();
    },
    currency: () => text("currency"),
    written(errors) {
      const whole = (key) => {
        const number = wholeNumber(text(key));
        if (number === null)
          errors[parts[key].input.name] = ["Enter a whole number, such as 1000."];
        return number;
      };
      return {
        ...pack,
        id: text("id"),
        name: text("name"),
        tokens: whole("tokens"),
        price: whole("price"),
        currency: text("currency"),
      };
    },
  };
}
