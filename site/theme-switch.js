// The switch between light and dark colours. theme.js applies the choice on the next page.

import { button } from "./button.js";
import { fill } from "./dom.js";
import { icon } from "./icons.js";

/** The button. Until it is used, the system's choice applies. */
export function themeSwitch() {
  const element = button(null, { kind: "quiet", icon: "moon", label: "Dark colours" });
  const dark = () => {
    const chosen = document.documentElement.style.colorScheme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const show = () => {
    const label = dark() ? "Light colours" : "Dark colours";
    element.setAttribute("aria-label", label);
    element.title = label;
    fill(element, icon(dark() ? "sun" : "moon"));
  };
  element.addEventListener("click", () => {
    const theme = dark() ? "light" : "dark";
    document.documentElement.style.colorScheme = theme;
    try {
      localStorage.setItem("farebox.theme", theme);
    } catch {
      // Without storage the choice applies to this page only.
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  return element;
}
