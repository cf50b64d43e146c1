// The first view of the documentation: from an API key to the first answer.

import { base } from "../session/api.js";
import { h } from "../ui/dom.js";
import { inCurrency } from "../ui/format.js";
import { code, firstRequests, sample } from "./samples.js";
import { info } from "./description.js";
import { described } from "./words.js";

/** The APIs that clients may use: the id in `firstRequests`, the name, and what it is for. */
const APIS = [
  ["openai", "OpenAI's SDKs", "Any program that lets you choose a base URL works like this."],
  ["anthropic", "Anthropic's SDKs", "Their base URL is the URL before /v1."],
];

/** `#/quickstart`. `model` is the name of the default model. */
export function quickstart(model) {
  const requests = firstRequests(model);
  const first = APIS.map(([id, name, about]) => {
    const { install, whole, streamed } = requests[id];
    return h(
      "section",
      { "aria-labelledby": id },
      h("h3", { id, tabIndex: -1 }, `With ${name}`),
      h("p", {}, about),
      sample(install, `Install ${name}`),
      sample(whole, `A message with ${name}`),
      h("h4", {}, "Piece by piece"),
      h("p", {}, "A streamed answer appears as it is written."),
      sample(streamed, `A streamed answer with ${name}`),
    );
  });
  const keys = new URL("#/account/api-keys", base).href;
  return h(
    "div",
    { class: "docs-text" },
    h("h1", {}, "Quickstart"),
    h("p", { class: "lead" }, "From an API key to the first answer, with the SDKs that you know."),
    h("h2", {}, "1. Create an API key"),
    h(
      "p",
      {},
      h("a", { href: keys }, "Create a key"),
      inCurrency(
        " in your account. Its requests are paid with your tokens. Keep it secret, and give it to your program in an environment variable:",
      ),
    ),
    code("export API_KEY=sk-...", "bash", "Set the API key"),
    h("h2", {}, "2. Send a message"),
    first,
    h("h2", {}, "3. See what it costs"),
    h(
      "p",
      {},
      inCurrency(
        "These requests list the models with their prices, and the tokens that the key may still spend:",
      ),
    ),
    code(
      `curl ${base.href}api/models\ncurl ${base.href}v1/key -H "Authorization: Bearer $API_KEY"`,
      "bash",
      "Read the prices and the key's limit",
    ),
    h("h2", {}, "4. Handle failures"),
    h(
      "p",
      {},
      inCurrency(
        "A failed request costs nothing. Each failure has a status, a code for programs, and a sentence for people. If a reply was lost, repeat the request with the same ",
      ),
      h("code", {}, "Idempotency-Key"),
      ": you get the same answer, and pay once.",
    ),
    h("h2", { id: "conventions" }, "Conventions"),
    described(info().description),
  );
}
