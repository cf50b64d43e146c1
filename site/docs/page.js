// The API documentation: Swagger UI with the API's description, in the frame of these pages. The
// page keeps tokens, whether typed or from the browser's session, only until it is closed.

import { nodesOf } from "../markdown/nodes.js";
import { parse } from "../markdown/syntax.js";
import { base, onSessionEnded, sessionToken } from "../session/api.js";
import { linkButton } from "../ui/button.js";
import { fill, focusOn, h } from "../ui/dom.js";
import { explain, inCurrency } from "../ui/format.js";
import { themeSwitch } from "../ui/theme-switch.js";

/** The name of the access tokens' security scheme in the description. */
const SCHEME = "access_token";

const main = document.getElementById("main");

fill(
  document.getElementById("frame"),
  h(
    "a",
    { class: "brand", href: "#" },
    h("img", {
      class: "brand-mark",
      src: new URL("../ui/favicon.svg", import.meta.url).href,
      alt: "Farebox",
    }),
    h("span", { class: "brand-word" }),
    h("span", { class: "badge badge-coin" }, "API"),
  ),
  h(
    "nav",
    { class: "topbar-rest docs-links", "aria-label": "Pages" },
    linkButton("Chat", base.href, { kind: "quiet", icon: "chat" }),
    themeSwitch(),
  ),
);

document.getElementById("skip").addEventListener("click", (event) => {
  // The part of the address after the # names an endpoint, so don't change it.
  event.preventDefault();
  focusOn(main);
});

/**
 * The note on the cost of trying an endpoint. A cache may contain an earlier release's description,
 * which has no price.
 */
function costs(price) {
  const tokens = inCurrency(price ? `${price} tokens` : "tokens");
  return `“Execute” sends a real request for the account that you authorize. A message to the AI costs ${tokens}, and changes and deletions are permanent.`;
}

/** The nodes of a description. Its line ends aren't line breaks. */
function described(source) {
  const tokens = parse(source, {});
  for (const inner of tokens.flatMap(({ children }) => children ?? []))
    if (inner.type === "softbreak") Object.assign(inner, { type: "text", content: "\n" });
  return nodesOf(tokens);
}

// A plugin that makes Swagger UI's components usable by keyboard and screen reader.
const accessible = ({ React }) => {
  const e = React.createElement;

  /** The button that authorizes requests with the browser's session, and the result. */
  const UseSession = ({ authActions }) => {
    const [said, say] = React.useState("");
    React.useEffect(
      () =>
        onSessionEnded(() => {
          authActions.logout([SCHEME]);
          say("Your session has ended.");
        }),
      [],
    );
    const use = async () => {
      say("Loading your session…");
      try {
        const value = await sessionToken();
        const schema = { type: "http", scheme: "bearer" };
        if (value) authActions.authorize({ [SCHEME]: { name: SCHEME, schema, value } });
        const start = new URL("#/log-in", base).href;
        say(
          value
            ? "Requests now use your session."
            : ["You aren't logged in. ", e("a", { key: "start", href: start }, "Log in")],
        );
      } catch (error) {
        say(explain(error));
      }
    };
    return e(
      React.Fragment,
      {},
      e("span", { className: "docs-said", role: "status" }, said),
      e(
        "button",
        { type: "button", className: "button button-secondary", onClick: use },
        "Use my session",
      ),
    );
  };

  return {
    components: {
      /**
       * The layout, with landmarks, with heading levels that have no gaps, and without the choice
       * of a server.
       */
      DocsLayout({ getComponent, specSelectors, authActions }) {
        const part = (name) => e(getComponent(name, true));
        if (!specSelectors.specStr()) {
          const failed = specSelectors.loadingStatus() === "failed";
          return e(
            "div",
            {},
            e("h1", {}, "Farebox API"),
            e(
              "p",
              { role: "status" },
              failed
                ? "The description of the API could not be loaded. Try again in a moment."
                : "Loading",
            ),
          );
        }
        return e(
          "div",
          { className: "swagger-ui" },
          part("errors"),
          part("InfoContainer"),
          e(
            "div",
            { className: "docs-head" },
            e("h2", {}, "Endpoints"),
            e(
              "div",
              { className: "docs-auth" },
              e(UseSession, { authActions }),
              part("AuthorizeBtnContainer"),
            ),
            e("p", { className: "docs-costs" }, costs(specSelectors.specJson().get("x-price"))),
          ),
          part("operations"),
          part("Models"),
        );
      },
      /** The field for a scheme's token, with an id and a label. */
      HttpAuth({ name, schema, authorized, onChange, getComponent }) {
        const id = `token-${name}`;
        const known = authorized.getIn([name, "value"]);
        return e(
          "div",
          {},
          e("h4", {}, e("code", {}, name)),
          e(getComponent("Markdown", true), { source: schema.get("description") }),
          known
            ? e("p", {}, "Authorized.")
            : e(
                "div",
                { className: "field" },
                e("label", { htmlFor: id }, "Token"),
                e("input", {
                  id,
                  className: "input",
                  type: "text",
                  autoComplete: "off",
                  spellCheck: false,
                  onChange: ({ target }) => onChange({ name, schema, value: target.value.trim() }),
                }),
              ),
        );
      },
    },
    wrapComponents: {
      /** Descriptions as nodes, because the page's policy forbids Swagger UI's HTML strings. */
      Markdown:
        () =>
        ({ source, className = "" }) => {
          const box = React.useRef(null);
          React.useLayoutEffect(
            () => box.current.replaceChildren(...described(source ?? "")),
            [source],
          );
          const named = `markdown renderedMarkdown ${className}`;
          return e("div", { ref: box, className: named, hidden: !source });
        },
      /**
       * The path without its link, which a button must not contain. Opening the operation changes
       * the address anyway.
       */
      OperationSummaryPath: (Path) => (props) =>
        e(Path, {
          ...props,
          operationProps: props.operationProps.set("isDeepLinkingEnabled", false),
        }),
      authorizationPopup: (Popup) => (props) => {
        const dialog = React.useRef(null);
        React.useLayoutEffect(() => {
          const { current } = dialog;
          current.showModal();
          current.querySelector("input")?.focus();
          // Closing the dialog returns the focus.
          return () => current.close();
        }, []);
        return e(
          "dialog",
          { ref: dialog, className: "dialog dialog-wide", "aria-label": "Authorize" },
          e(Popup, props),
        );
      },
      auths: (Auths) => (props) =>
        e(
          "div",
          { role: "group", "aria-label": props.definitions.keySeq().join(", ") },
          e(Auths, props),
        ),
      // Remove the label, so that a button's name is its text.
      Button:
        (Button) =>
        ({ "aria-label": _, ...props }) =>
          e(Button, props),
      CloseIcon: (Icon) => () =>
        e(React.Fragment, {}, e(Icon), e("span", { className: "sr-only" }, "Close")),
      ExamplesSelect: (Select) => (props) =>
        e("label", {}, e("span", { className: "sr-only" }, "Example"), e(Select, props)),
      TextArea: (TextArea) => (props) => e(TextArea, { "aria-label": "Request body", ...props }),
      /**
       * The responses without the `region` role, which would hide the table's rows from screen
       * readers.
       */
      responses: (Responses) => (props) => {
        const box = React.useRef(null);
        React.useEffect(() =>
          box.current.querySelector(".responses-table")?.removeAttribute("role"),
        );
        return e("div", { ref: box }, e(Responses, props));
      },
    },
  };
};

window.SwaggerUIBundle({
  url: new URL("api/openapi.json", base).href,
  domNode: main,
  plugins: [accessible],
  layout: "DocsLayout",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  // Swagger UI's validator is on a different host.
  validatorUrl: null,
});
