// The documentation: Swagger UI over the API's own description, in this page's frame. Tokens that are typed in live as long as the page.

import { base } from "./api.js";
import { linkButton } from "./button.js";
import { fill, focusOn, h } from "./dom.js";
import { themeSwitch } from "./theme-switch.js";

const main = document.getElementById("main");

fill(
  document.getElementById("frame"),
  h(
    "a",
    { class: "brand", href: "#" },
    h("img", {
      class: "brand-mark",
      src: new URL("favicon.svg", import.meta.url).href,
      alt: "Farebox",
    }),
    h("span", { class: "brand-word" }),
    h("span", { class: "badge badge-coin" }, "API"),
  ),
  h(
    "nav",
    { class: "topbar-rest docs-links", "aria-label": "Pages" },
    linkButton("Chat", base.href, { kind: "quiet", icon: "chat" }),
    linkButton("Administration", new URL("admin/", base).href, { kind: "quiet", icon: "users" }),
    themeSwitch(),
  ),
);

document.getElementById("skip").addEventListener("click", (event) => {
  // The address names an endpoint, so that the link can't.
  event.preventDefault();
  focusOn(main);
});

// What Swagger UI's parts lack for keyboards and screen readers, by its plugin API.
const accessible = ({ React }) => {
  const e = React.createElement;
  return {
    components: {
      /** One heading below another, in this page's landmarks. The description names one server, so that there is none to choose. */
      DocsLayout({ getComponent, specSelectors }) {
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
            part("AuthorizeBtnContainer"),
          ),
          part("operations"),
          part("Models"),
        );
      },
      /** Each scheme's field under an id and a label of its own. */
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
      /** A button holds no link. An operation that is opened is in the address all the same. */
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
          // Gives the focus back.
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
      // What it is called is what it says.
      Button:
        (Button) =>
        ({ "aria-label": _, ...props }) =>
          e(Button, props),
      CloseIcon: (Icon) => () =>
        e(React.Fragment, {}, e(Icon), e("span", { className: "sr-only" }, "Close")),
      ExamplesSelect: (Select) => (props) =>
        e("label", {}, e("span", { className: "sr-only" }, "Example"), e(Select, props)),
      TextArea: (TextArea) => (props) => e(TextArea, { "aria-label": "Request body", ...props }),
      /** The table says that it is a region, which takes its rows from it. */
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
  // It would be asked on another host.
  validatorUrl: null,
});
