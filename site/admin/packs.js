// The form that edits the packs of tokens that users can buy.

import { ApiError, get, request } from "../session/api.js";
import { button, linkButton } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { fill, focusOn, h, newId } from "../ui/dom.js";
import { field, form, wholeNumber } from "../ui/form.js";
import { explain, inCurrency, time } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import { digitsOf, formatPrice, typedAmount, unitsToType } from "../ui/purchase.js";
import { go } from "../ui/router.js";
import {
  cards,
  editorPage,
  editors,
  isSame,
  keptEditor,
  lossOf,
  mayDiscard,
  showConflict,
  typed,
} from "./cards.js";
import { author } from "./people.js";

const PATH = "api/admin/packs/";
export const PACKS_PLACE = "#/purchases/packs";

/** The highest price of a pack, in the currency's smallest unit. */
const HIGHEST_PRICE = 99_999_999;

const TEXT = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };

/** `#/purchases/packs` */
export const packsView = ({ signal, title }, me, reload) =>
  keptEditor("packs", async () => page(await get(PATH, null, { signal }), title, me, reload));

/** The view of the stored packs: `{content, isChanged}`. */
function page(read, title, me, reload) {
  const tools = [
    linkButton("History", "#/trail?act=packs", { kind: "quiet", icon: "history" }),
    read.packs &&
      button("Stop selling", {
        kind: "danger",
        icon: "trash",
        onclick: () => stop(read.version, reload),
      }),
  ];
  const lead = about(read, me);
  return editorPage({ title, tools, lead, isWide: true }, editor(read, me, reload));
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
      `Users can't buy tokens any more. Payments already under way will still be credited.${lossOf("packs")}`,
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
  editors.delete("packs");
  await attempt(reload);
  toast("Sales have been stopped.");
}

/**
 * The form with the packs: `{element, isChanged}`. Saving it replaces the version that was read.
 */
function editor(read, me, reload) {
  let { version } = read;
  const list = cards({
    add: "Add a pack",
    fresh: () => fresh(list.rows.at(-1)?.currency()),
    make: packCard,
  });
  const fields = () => list.rows.flatMap((row) => row.fields());
  const conflict = h("div", { class: "admin-conflict" });
  let loaded;

  function load(packs) {
    list.load(packs ?? [fresh()]);
    loaded = typed(fields());
  }

  const isChanged = () => typed(fields()) !== loaded;

  /** Leaves the form. Asks first if changes would be lost. */
  async function cancel() {
    if (isChanged() && !(await mayDiscard("packs"))) return;
    editors.delete("packs");
    go("#/purchases");
  }

  /**
   * Returns the packs in the form. Throws an error that names the fields without a number.
   */
  function written() {
    const errors = {};
    const packs = list.rows.map((row) => row.written(errors));
    const refuse = (detail) => {
      throw new ApiError({ status: 400, code: "invalid_fields", detail, errors });
    };
    if (packs.length === 0) refuse("Add a pack, or stop selling.");
    if (Object.keys(errors).length > 0) refuse("Enter numbers.");
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
    editors.delete("packs");
    // Reload the view. Otherwise the API would refuse the next change, because it would be based on
    // old packs.
    await attempt(reload);
    toast("The packs have been saved.");
  }

  async function loadNewer() {
    const newer = await get(PATH);
    version = newer.version;
    load(newer.packs);
    fill(conflict);
    focusOn(list.rows[0].heading);
    toast("The newer packs have been loaded.");
  }

  load(read.packs);
  const element = form([list.element, h("div", {}, list.add), conflict], {
    submit: "Save the packs",
    extra: [button("Cancel", { onclick: cancel })],
    "aria-label": "Packs",
    fields,
    onsubmit: save,
  });
  return { element, isChanged };
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
      inputMode: "decimal",
      value: pack.price === "" ? "" : unitsToType(pack.price, pack.currency),
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
  const price = () => typedAmount(text("price"), text("currency"));
  /** `4.99`, or `499` in a currency without decimals */
  const example = () => unitsToType(499, text("currency"));

  /** Shows the name in the heading, and the price as users read it. */
  function show() {
    heading.textContent = text("name") || "New pack";
    tools.name(text("name") || "the new pack");
    const isKnown = price() !== null && /^[A-Z]{3}$/.test(text("currency"));
    const worth = isKnown ? `Users pay ${formatPrice(price(), text("currency"))}.` : "";
    parts.price.querySelector(".hint").textContent = worth || `Such as ${example()}.`;
  }

  /** How to write a price in the pack's currency. */
  function priceRule() {
    const digits = digitsOf(text("currency"));
    const most = digits === 0 ? "without decimals" : `with at most ${digits} decimals`;
    return `Enter an amount above 0 ${most}, such as ${example()}.`;
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
      const refuse = (key, reason) => (errors[parts[key].input.name] = [reason]);
      const tokens = wholeNumber(text("tokens"));
      if (tokens === null) refuse("tokens", "Enter a whole number, such as 1000.");
      if (!price()) refuse("price", priceRule());
      else if (price() > HIGHEST_PRICE)
        refuse("price", `The highest price is ${unitsToType(HIGHEST_PRICE, text("currency"))}.`);
      return {
        ...pack,
        id: text("id"),
        name: text("name"),
        tokens,
        price: price(),
        currency: text("currency"),
      };
    },
  };
}
