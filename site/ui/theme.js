// Applies the chosen colours before the page is drawn. A module would run too late, so this is a
// classic script. theme-switch.js contains the button, and style.css the colours of both schemes.
try {
  const theme = localStorage.getItem("farebox.theme");
  if (theme === "light" || theme === "dark") {
    document.documentElement.style.colorScheme = theme;
  }
} catch {
  // Without storage, the system's colours apply.
}
