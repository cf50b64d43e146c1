// Answers that try to run a script. An attacker could make an AI write them.

const ATTEMPTS = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)><animate onbegin=alert(1) attributeName=x>",
  '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
  "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
  "<details open ontoggle=alert(1)>",
  '<a href="javascript:alert(1)" autofocus onfocus=alert(1)>x</a>',
  "<br onmouseover=alert(1)><br/onload=alert(1)>",
  "[x](javascript:alert(1))",
  "[x](&#106;ava&Tab;script&colon;alert(1))",
  "[x](<java\tscript:alert(1)>)",
  "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  '[x](https://example.com/"onmouseover=alert(1) \'y" onmouseover="alert(1)\')',
  '![x" onerror="alert(1)](https://example.com/x"onerror=alert(1))',
  "<javascript:alert(1)> and JAVASCRIPT:alert(1)",
  "mailto:a@b.example?body=<script>alert(1)</script>",
  "`<script>alert(1)</script>` ~~<script>alert(1)</script>~~",
  "\\(\\href{javascript:alert(1)}{x}\\) $\\url{javascript:alert(1)}$",
  "$$\\text{<img src=x onerror=alert(1)>}$$",
  '\\[\\class{x" onclick="alert(1)}{y}\\style{background:url(javascript:alert(1))}{z}\\]',
  '$\\includegraphics[alt={x" onerror="alert(1)}]{javascript:alert(1)}$ $\\label{main}\\ref{javascript:alert(1)}$',
  '$\\htmlData{x=y" onclick="alert(1)}{z}$ $\\def\\x{\\x\\x}\\x$',
  '```"><script>alert(1)</script>\n<script>alert(1)</script>\n```',
  "```html\n<script>alert(1)</script><a onclick='alert(1)'>\n```",
];

const lines = (first, further) => (text) => first + text.replaceAll("\n", `\n${further}`);

const PLACES = [
  (text) => text,
  lines("# ", ""),
  lines("- ", "  "),
  lines("> 1. ", ">    "),
  (text) => `| a | b |\n|---|---|\n| ${text.replaceAll("\n", " ")} | c |`,
  (text) => `**bold ${text} _and more_**`,
  (text) => `[link ${text}](https://example.com)`,
  (text) => `[x][y]\n\n[y]: javascript:alert(1) "${text}"\n\n${text}`,
];

/** 192 answers: each attempt in each position. */
export const PAYLOADS = PLACES.flatMap((place) => ATTEMPTS.map(place));
