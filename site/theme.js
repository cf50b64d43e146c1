// Applies the chosen colours before the page is drawn, so it is not a module. theme-switch.js has the
// button that chooses them.
try {
  const theme = localStorage.getItem("farebox.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without a memory the system's colours hold.
}
