// Applies the chosen colours and the brand's before the page is drawn. A module would run too late,
// so this is a classic script. theme-switch.js contains the button, and style.css the colours.
try {
  const { style } = document.documentElement;
  const theme = localStorage.getItem("farebox.theme");
  if (theme === "light" || theme === "dark") {
    style.colorScheme = theme;
  }
  const colors = JSON.parse(localStorage.getItem("farebox.colors")) ?? {};
  for (const name of Object.keys(colors)) style.setProperty(name, colors[name]);
} catch {
  // Without storage, the system's colours apply.
}
