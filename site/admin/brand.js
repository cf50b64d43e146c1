// The form that edits the operator's brand: the name, links, colours and logo of pages and e-mails.

import { Unreadable } from "../files/part.js";
import { get, request } from "../session/api.js";
import { readModels } from "../session/models.js";
import { button, linkButton } from "../ui/button.js";
import { confirm } from "../ui/dialog.js";
import { fill, h } from "../ui/dom.js";
import { field, form } from "../ui/form.js";
import { explain, time } from "../ui/format.js";
import { attempt, toast } from "../ui/message.js";
import {
  editorPage,
  editors,
  isSame,
  keptEditor,
  lossOf,
  mayDiscard,
  showConflict,
} from "./cards.js";
import { isSvg, logoOf, pngOfSvg, urlOf } from "./logo.js";
import { author } from "./people.js";

const PATH = "api/admin/brand/";

/** `#/brand` */
export const brandView = ({ signal, title }, me, reload) =>
  keptEditor("brand", async () => page(await get(PATH, null, { signal }), title, me, reload));

/** The view of the stored brand: `{content, isChanged}`. */
function page(read, title, me, reload) {
  const tools = [
    linkButton("History", "#/trail?act=brand", { kind: "quiet", icon: "history" }),
    read.version &&
      button("Remove the brand", {
        kind: "danger",
        icon: "trash",
        onclick: () => remove(read.version, reload),
      }),
  ];
  return editorPage({ title, tools, lead: about(read, me) }, editor(read, me, reload));
}

/** Who set the brand, and when. */
function about({ version, brand, author: by, time: set }, me) {
  if (!version) return "Pages and e-mails show the name Farebox. Set your own brand here.";
  const who = by && [" Set by ", author(by, me), set && [", ", time(set)], "."];
  return [
    brand
      ? "Pages and e-mails show this brand."
      : "This release can't use the stored brand, so pages and e-mails show the name Farebox. Set a new one or remove it.",
    who,
  ];
}

async function remove(version, reload) {
  const removed = await confirm(
    "Remove the brand?",
    `Pages and e-mails show Farebox's name and logo again, within a minute.${lossOf("brand")}`,
    {
      action: "Remove the brand",
      danger: true,
      run: () => request("PUT", PATH, { body: { brand: null, version } }),
      words: (error) =>
        error.code === "brand_changed"
          ? "The brand has been changed in the meantime. Reload the page to see the newer one."
          : explain(error),
    },
  );
  if (removed) await done(reload, "The brand has been removed.");
}

/** Shows the view again. The functions read the brand at most once a minute. */
async function done(reload, words) {
  editors.delete("brand");
  await attempt(reload);
  readModels().catch(() => {});
  toast(`${words} Pages show this within a minute.`);
}

/**
 * The form with the brand: `{element, isChanged}`. Saving it replaces the version that was read.
 */
function editor(read, me, reload) {
  let { version } = read;
  let logo = null;
  let drawing = null;
  let loaded;
  const url = {
    type: "url",
    inputMode: "url",
    autocomplete: "off",
    maxLength: 500,
    optional: true,
  };
  const color = { autocomplete: "off", spellcheck: "false", maxLength: 7, optional: true };
  const parts = {
    name: field("Name", "name", {
      required: true,
      maxLength: 40,
      autocomplete: "off",
      hint: "Shown in the bar, in titles and in e-mails.",
    }),
    address: field("Operator and address", "address", {
      type: "textarea",
      rows: 4,
      maxLength: 500,
      optional: true,
      hint: "Shown to visitors, and below each e-mail.",
    }),
    imprint_url: field("Legal notice", "imprint_url", { ...url, hint: "A URL with https://." }),
    terms_url: field("Terms", "terms_url", url),
    privacy_url: field("Privacy policy", "privacy_url", url),
    color: field("Colour on light backgrounds", "color", {
      ...color,
      hint: "Such as #1a4fa3. Buttons and links have this colour.",
    }),
    dark_color: field("Colour on dark backgrounds", "dark_color", {
      ...color,
      hint: "Such as #8ab4f8. Set both colours or neither.",
    }),
    logo: field("Logo", "logo", {
      type: "file",
      accept: "image/*",
      optional: true,
      hint: "A square picture. It is saved as a small PNG without metadata.",
    }),
  };
  const preview = h("div", { class: "brand-preview" });
  const conflict = h("div", { class: "admin-conflict" });

  function showLogo() {
    fill(
      preview,
      logo && [
        h("img", {
          class: "brand-logo",
          src: urlOf(logo),
          alt: "The logo",
          width: 56,
          height: 56,
        }),
        button("Remove the logo", {
          small: true,
          onclick: () => {
            logo = null;
            parts.logo.input.value = "";
            showLogo();
            parts.logo.input.focus();
          },
        }),
      ],
    );
  }

  /** Uses the chosen file as the logo, or keeps the present logo if the browser can't draw it. */
  async function draw([file]) {
    if (!file) return;
    try {
      logo = await logoOf(file);
      showLogo();
    } catch (error) {
      parts.logo.input.value = "";
      parts.logo.fail(error instanceof Unreadable ? error.message : explain(error));
    }
  }
  parts.logo.input.addEventListener("change", () => (drawing = draw(parts.logo.input.files)));

  function load(brand) {
    for (const [key, { input }] of Object.entries(parts))
      if (key !== "logo") input.value = brand?.[key] ?? "";
    logo = brand?.logo ?? null;
    parts.logo.input.value = "";
    showLogo();
    loaded = written();
  }

  function written() {
    const brand = logo === null ? {} : { logo };
    for (const [key, { input }] of Object.entries(parts))
      if (key !== "logo" && input.value.trim()) brand[key] = input.value.trim();
    return brand;
  }

  const isChanged = () => !isSame(written(), loaded);

  /** Shows the stored brand again. Asks first if changes would be lost. */
  async function cancel() {
    if (isChanged() && !(await mayDiscard("fields"))) return;
    editors.delete("brand");
    await attempt(reload);
  }

  async function save() {
    fill(conflict);
    await drawing;
    const brand = written();
    if (brand.logo && isSvg(brand.logo)) brand.logo = await pngOfSvg(brand.logo);
    try {
      await request("PUT", PATH, { body: { brand, version } });
    } catch (error) {
      if (error.code !== "brand_changed") throw error;
      const newer = await get(PATH);
      // The reply to an earlier attempt may have been lost.
      if (!isSame(newer.brand, brand)) {
        const what = newer.brand ? "The brand was changed" : "The brand was removed";
        showConflict(conflict, { what, name: "newer brand", newer, load: loadNewer, me });
        return;
      }
    }
    await done(reload, "The brand has been saved.");
  }

  async function loadNewer() {
    const newer = await get(PATH);
    version = newer.version;
    load(newer.brand);
    fill(conflict);
    parts.name.input.focus();
    toast("The newer brand has been loaded.");
  }

  load(read.brand);
  const element = h(
    "div",
    { class: "card" },
    form([...Object.values(parts), preview, conflict], {
      submit: "Save the brand",
      extra: [button("Cancel", { onclick: cancel })],
      "aria-label": "Brand",
      fields: () => Object.values(parts),
      onsubmit: save,
    }),
  );
  return { element, isChanged };
}
