// Applies the chosen colours before the page is drawn, so it is not a module. theme-switch.js has
// the button that chooses them, and style.css has both colours of everything.
try {
  const theme = localStorage.getItem("farebox.theme");
  if (theme === "light" || theme === "dark") {
    document.documentElement.style.colorScheme = theme;
  }
} catch {
  // Without storage the system's choice applies.
}
