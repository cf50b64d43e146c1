// The API's documentation: a quickstart, and a view for each section of the OpenAPI document. The
// part of the address after the # names the section and the endpoint.

import { base, get } from "../session/api.js";
import { brandLink, useBrand } from "../ui/brand.js";
import { linkButton } from "../ui/button.js";
import { fill, h } from "../ui/dom.js";
import { useCurrency } from "../ui/format.js";
import { attempt } from "../ui/message.js";
import { note } from "../ui/note.js";
import { router } from "../ui/router.js";
import { themeSwitch } from "../ui/theme-switch.js";
import { exampleOf, exampleParameter, info, readDescription, urlOf } from "./description.js";
import { quickstart } from "./quickstart.js";
import { code, sample, samplesOf } from "./samples.js";
import { fieldsOf, hasFields, typeIn } from "./schema.js";
import { search } from "./search.js";
import { tryIt } from "./try.js";
import { described } from "./words.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");

fill(
  document.getElementById("frame"),
  brandLink("#/quickstart", h("span", { class: "badge badge-coin" }, "API")),
  h(
    "div",
    { class: "topbar-rest docs-links" },
    linkButton("Chat", base.href, { kind: "quiet", icon: "chat" }),
    themeSwitch(),
  ),
);

document.getElementById("skip").addEventListener("click", (event) => {
  // The part of the address after the # names a view, so don't change it.
  event.preventDefault();
  const heading = main.querySelector("h1");
  heading.tabIndex = -1;
  heading.focus();
});

/** The sections of the document, and the models of `GET /api/models`. */
let sections = [];
let list = null;

/** True if the server has a price list, and `null` if that isn't known. */
const hasPrices = () => list && Boolean(list.version);
const place = (section, operation) => `#/${section.id}${operation ? `/${operation.id}` : ""}`;

// --- An endpoint ---

const method = (name) => h("span", { class: `docs-method docs-${name.toLowerCase()}` }, name);

function operationView(section, operation) {
  const { id, summary, path, parameters, body, responses, others, isOpen, schemes } = operation;
  const isGood = ({ status }) => status.startsWith("2");
  const values = Object.fromEntries(
    parameters
      .filter((one) => one.required && one.in === "query")
      .map((one) => [one.name, exampleParameter(one)]),
  );
  const example = body && exampleOf(body, true);
  const good = responses.find(isGood);
  const reply = good?.content?.["application/json"]?.schema;
  const heading = h(
    "h2",
    { id: `operation-${id}`, tabIndex: -1 },
    summary,
    " ",
    h(
      "a",
      {
        class: "docs-anchor",
        href: place(section, operation),
        "aria-label": `Link to: ${summary}`,
      },
      "#",
    ),
  );
  const texts = [
    heading,
    h("p", { class: "docs-route" }, method(operation.method), " ", h("code", {}, path)),
    others.length > 0 &&
      h(
        "p",
        { class: "muted" },
        "Also at ",
        others.map((one, index) => [index > 0 && ", ", h("code", {}, one)]),
        ".",
      ),
    described(operation.description),
    h("p", { class: "docs-access" }, access(schemes, isOpen)),
    parametersView("Path", parameters, "path"),
    parametersView("Query", parameters, "query"),
    parametersView("Headers", parameters, "header"),
    body && [
      h("h3", {}, "Request body"),
      hasFields(body) ? fieldsOf(body) : h("p", {}, typeIn(body)),
    ],
    h("h3", {}, "Reply"),
    responses.filter(isGood).map((one) => replyView(one)),
    h(
      "details",
      { class: "docs-failures" },
      h("summary", {}, "Failures"),
      h(
        "dl",
        {},
        responses
          .filter((one) => !isGood(one))
          .map(({ status, description }) => [
            h("dt", {}, h("code", {}, status)),
            h("dd", {}, described(description)),
          ]),
      ),
    ),
  ];
  const shown = [
    sample(samplesOf(operation, urlOf(operation, values), example), summary),
    reply &&
      h(
        "details",
        { class: "docs-example", open: true },
        h("summary", {}, `Reply ${good.status}`),
        code(
          JSON.stringify(exampleOf(reply), null, 2),
          "json",
          `Example of the reply to: ${summary}`,
        ),
      ),
    tryIt(operation, hasPrices()),
  ];
  return h(
    "section",
    { class: "docs-operation", "aria-label": summary },
    h("div", { class: "docs-about" }, texts),
    h("div", { class: "docs-shown" }, shown),
  );
}

function access(schemes, isOpen) {
  const names = {
    access_token: "an access token",
    api_key: "an API key",
    x_api_key: "an API key in x-api-key",
  };
  const known = [...new Set(schemes)].map((one) => names[one] ?? one);
  if (known.length === 0) return "Needs no credential.";
  return `${isOpen ? "Accepts" : "Needs"} ${known.join(" or ")}.`;
}

function parametersView(title, parameters, where) {
  const some = parameters.filter((one) => one.in === where);
  if (some.length === 0) return null;
  const rows = some.map(({ name, required, description, schema }) =>
    h(
      "li",
      {},
      h(
        "p",
        { class: "docs-field" },
        h("code", { class: "docs-field-name" }, name),
        " ",
        h("span", { class: "docs-type" }, typeIn(schema ?? {})),
        required && h("span", { class: "badge badge-accent" }, "required"),
      ),
      described(description),
    ),
  );
  return [h("h3", {}, title), h("ul", { class: "docs-fields" }, rows)];
}

function replyView({ status, description, content = {} }) {
  const [[type, { schema } = {}] = []] = Object.entries(content);
  return [
    h("p", {}, h("code", {}, status), type && ` ${type}`),
    described(description),
    schema && (hasFields(schema) ? fieldsOf(schema) : null),
  ];
}

// --- The views ---

/** The views that were made, by section. Their open parts stay open. */
const made = new Map();

function sectionView({ params }) {
  // Links of earlier releases name the section as in the document: `#/API keys/api_keys`.
  const named = (text) => text.toLowerCase().replaceAll(/[ _]/g, "-");
  const section = sections.find(({ id }) => id === named(params.section));
  if (!section) return { instead: "#/quickstart" };
  if (!made.has(section)) {
    const operations = section.operations.map((one) => operationView(section, one));
    made.set(
      section,
      h("div", {}, h("h1", {}, section.name), described(section.description, "lead"), operations),
    );
  }
  const content = made.get(section);
  const operation = section.operations.find(({ id }) => id === params.operation);
  const heading = operation && content.querySelector(`#operation-${CSS.escape(operation.id)}`);
  return {
    title: operation?.summary ?? section.name,
    content,
    focus: heading ?? undefined,
    shown: () => (heading ? heading.scrollIntoView() : scrollTo(0, 0)),
  };
}

const VIEWS = [
  { path: "", view: () => ({ instead: "#/quickstart" }) },
  {
    path: "quickstart",
    title: "Quickstart",
    view: () => {
      const isAsked = ({ kind = "chat" }) => kind === "chat";
      const model = list?.models.find((one) => isAsked(one) && one.default)?.name;
      return { content: quickstart(model || "default") };
    },
  },
  { path: ":section", view: sectionView },
  { path: ":section/:operation", view: sectionView },
];

// --- The navigation ---

function navigation() {
  const link = (href, ...text) => h("a", { href }, text);
  const groups = sections.map((section) =>
    h(
      "li",
      { dataset: { section: section.id } },
      link(place(section), section.name),
      h(
        "ul",
        {},
        section.operations.map((one) =>
          h("li", {}, link(place(section, one), method(one.method), h("span", {}, one.summary))),
        ),
      ),
    ),
  );
  const lists = h(
    "ul",
    { class: "docs-sections" },
    h("li", {}, link("#/quickstart", "Quickstart")),
    groups,
  );
  // On a narrow window the navigation is collapsed.
  const wide = matchMedia("(min-width: 60rem)");
  const fold = h("details", { open: wide.matches }, h("summary", {}, "Contents"), lists);
  wide.addEventListener("change", () => (fold.open = wide.matches));
  fold.addEventListener("click", ({ target }) => {
    if (!wide.matches && target.closest("a")) fold.open = false;
  });
  fill(
    nav,
    search(sections, place),
    fold,
    h(
      "p",
      { class: "docs-version muted" },
      `Version ${info().version} · `,
      h("a", { href: new URL("api/openapi.json", base).href }, "OpenAPI"),
    ),
  );
}

/** Marks the section of the view, and the endpoint that is in the address. */
function mark() {
  const hash = decodeURI(location.hash).toLowerCase();
  for (const link of nav.querySelectorAll("a[href^='#']")) {
    const target = link.getAttribute("href").toLowerCase();
    if (target === hash) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const item of nav.querySelectorAll("[data-section]"))
    item.classList.toggle("open", hash.split("/")[1] === item.dataset.section);
}

async function start() {
  // The page works without the models: their names and prices are examples.
  const models = get("api/models", null, { open: true }).then((reply) => {
    list = reply;
    useCurrency(reply.currency ?? "tokens");
    useBrand(reply.brand);
  });
  try {
    [sections] = await Promise.all([readDescription(), models.catch(() => {})]);
  } catch (error) {
    fill(
      main,
      h("h1", {}, "API"),
      note("bad", "The description of the API could not be loaded. Try again in a moment."),
      h("p", { class: "muted" }, error.message),
    );
    return;
  }
  navigation();
  router({ outlet: main, views: VIEWS, name: "API", start: "Go to the quickstart", after: mark });
}

attempt(start);
