// The icons: strokes on a grid of 24 pixels, in the colour of the text.

const PATHS = {
  alert:
    "M12 8v5m0 3.5v.01M10.3 4.2 2.9 17a2 2 0 0 0 1.7 3h14.8a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z",
  back: "M19 12H5m6 6-6-6 6-6",
  book: "M5 4.5h5a2 2 0 0 1 2 2v13a2 2 0 0 0-2-2H5zM19 4.5h-5a2 2 0 0 0-2 2v13a2 2 0 0 1 2-2h5z",
  chart: "M4 20h16M7 16v-5m5 5V6m5 10v-7",
  chat: "M5 5h14a1.5 1.5 0 0 1 1.5 1.5v9A1.5 1.5 0 0 1 19 17h-7l-4.5 3.5V17H5a1.5 1.5 0 0 1-1.5-1.5v-9A1.5 1.5 0 0 1 5 5Z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  clip: "m19 11-7.3 7.3a4.6 4.6 0 0 1-6.5-6.5L13 4a3 3 0 0 1 4.3 4.3l-7.6 7.5a1.5 1.5 0 0 1-2.1-2.1l6.6-6.6",
  close: "M6 6l12 12M18 6 6 18",
  coin: "M4.5 7.5c0-1.7 3.4-3 7.5-3s7.5 1.3 7.5 3-3.4 3-7.5 3-7.5-1.3-7.5-3Zm0 0V12c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3V7.5M4.5 12v4.5c0 1.7 3.4 3 7.5 3s7.5-1.3 7.5-3V12",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  contrast: "M12 3.5a8.5 8.5 0 1 0 0 17Zm0 0a8.5 8.5 0 0 1 0 17",
  device: "M4 5h16v11H4zM9 20h6m-3-4v4",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",
  down: "m6 9.5 6 6 6-6",
  file: "M7 3.5h7l4.5 4.5v12.5H7zM14 3.5V8h4.5",
  folder: "M4 6.5h5.5l2 2.5H20v9.5H4z",
  history: "M4 12a8 8 0 1 1 2.4 5.7M4 12V7m0 5h5m3-4v4.5l3 2",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-10v5.5m0-9v.01",
  key: "M14.5 13a4.5 4.5 0 1 0-4.2-2.9L4 16.4V20h3.6v-2.4H10v-2.4l1.4-1.4a4.5 4.5 0 0 0 3.1-.8ZM15.5 8.5v.01",
  keyboard: "M3 6.5h18v11H3zM6.5 10v.01m3.7-.01v.01m3.6-.01v.01m3.7-.01v.01M7 14h10",
  left: "m14.5 6-6 6 6 6",
  mail: "M4 6h16v12H4zM4 7l8 6 8-6",
  menu: "M4 7h16M4 12h16M4 17h16",
  moon: "M20 14.2A8 8 0 0 1 9.8 4a8 8 0 1 0 10.2 10.2Z",
  more: "M6 12v.01M12 12v.01M18 12v.01",
  out: "M10 4.5H5v15h5m4-12 4.5 4.5L14 16.5M18 12H9.5",
  palette:
    "M12 20.5a8.5 8.5 0 1 1 8.5-8.5c0 2.4-1.9 3.5-3.8 3.5h-2a1.7 1.7 0 0 0-1.2 2.9c.7.8.2 2.1-1.5 2.1ZM8 11v.01M10.5 7.5v.01M15 8.5v.01",
  pencil:
    "m14.5 6 3.5 3.5M5 19l.8-4L16.5 4.3a1.5 1.5 0 0 1 2.1 0l1.1 1.1a1.5 1.5 0 0 1 0 2.1L9 18.2z",
  pin: "M9 4h6l-.8 6 3.3 3.5h-11L9.8 10zM12 13.5V20",
  plus: "M12 5v14M5 12h14",
  print: "M7 9V4h10v5M7 17H4V9.5h16V17h-3M7 14h10v6H7z",
  receipt: "M6 3.5h12v17l-3-2-3 2-3-2-3 2zM9.5 8.5h5m-5 4h5",
  repeat:
    "M4.5 12a7.5 7.5 0 0 1 13-5.1L20 9.5M20 4v5.5h-5.5M19.5 12a7.5 7.5 0 0 1-13 5.1L4 14.5M4 20v-5.5h5.5",
  right: "m9.5 6 6 6-6 6",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm4.7-1.8L20 20",
  send: "M12 19.5v-15M5.5 11 12 4.5l6.5 6.5",
  shield: "M12 3.5 5 6v5.5c0 4.3 2.9 7.3 7 9 4.1-1.7 7-4.7 7-9V6z",
  stop: "M7.5 7.5h9v9h-9z",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm0-13v1.5m0 15V21m9-9h-1.5m-15 0H3m15.4-6.4-1.1 1.1M6.7 17.3l-1.1 1.1m12.8 0-1.1-1.1M6.7 6.7 5.6 5.6",
  tag: "M4 4.5h7.5l8.5 8.5-7 7L4.5 11.5ZM8.5 9v.01",
  trash: "M4.5 7h15M9.5 7V4.5h5V7m-8 0 .8 13h9.4l.8-13M10 11v5.5m4-5.5v5.5",
  up: "m6 14.5 6-6 6 6",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7.5 8.5c.8-3.7 3.7-5.5 7.5-5.5s6.7 1.8 7.5 5.5",
  users:
    "M9 12a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6.5 7.5c.6-3.2 3-5 6.5-5s5.9 1.8 6.5 5M15.5 5.3a3.5 3.5 0 0 1 0 6.4m2 3.3c2.2.5 3.6 2.1 4 4.5",
};

/** An icon. Screen readers skip it and read the text beside it or the button's label. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [attribute, value] of Object.entries({
    class: `icon icon-${name}`,
    viewBox: "0 0 24 24",
    "aria-hidden": "true",
    focusable: "false",
  })) {
    svg.setAttribute(attribute, value);
  }
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.alert);
  svg.append(path);
  return svg;
}
