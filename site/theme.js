// Puts the chosen colours on before the page is drawn, and so is no module. dom.js has the switch.
try {
  const theme = localStorage.getItem("farebox.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without a memory the system's colours hold.
}
