// The choice of colours: system, light or dark. theme.js applies the choice when a page is loaded.

import { fill } from "./dom.js";
import { icon } from "./icons.js";
import { menuButton } from "./menu.js";

const THEMES = [
  ["system", "System", "contrast"],
  ["light", "Light", "sun"],
  ["dark", "Dark", "moon"],
];

const KEY = "farebox.theme";

/** The button with its menu. Without a choice, the system's colours apply. */
export function themeSwitch() {
  const chosen = () => document.documentElement.style.colorScheme || "system";
  const choices = () =>
    THEMES.map(([theme, text, name]) => ({
      text,
      icon: name,
      checked: theme === chosen(),
      run: () => choose(theme),
    }));
  const element = menuButton("Colours", choices, { class: "button button-quiet button-icon" });
  const show = () => fill(element, icon(THEMES.find(([theme]) => theme === chosen())[2]));
  const choose = (theme) => {
    document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
    try {
      if (theme === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // Without storage, the choice applies only to this page.
    }
    show();
  };
  show();
  return element;
}
