// The rules of `scripts/check/javascript`: https://eslint.org/docs/latest/rules/

import { createRequire } from "node:module";

// Where `scripts/check/javascript` has installed the packages.
const require = createRequire(new URL("target/javascript/", import.meta.url));
const js = require("@eslint/js");
const { browser, node } = require("globals");

export default [
  { ignores: ["site/vendor/**", "target/**"] },
  js.configs.recommended,
  {
    files: ["**/*.{cjs,js,mjs}", "scripts/dev/site"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      eqeqeq: "error",
      "no-constructor-return": "error",
      "no-implied-eval": "error",
      "no-self-compare": "error",
      "no-unreachable-loop": "error",
      "no-unused-expressions": "error",
      // A loop may count without its values, and a rest may lack the fields before it.
      "no-unused-vars": ["error", { varsIgnorePattern: "^_$", ignoreRestSiblings: true }],
      "no-var": "error",
      "prefer-const": "error",
      "prefer-promise-reject-errors": "error",
    },
  },
  { files: ["site/**"], languageOptions: { globals: browser } },
  // Runs before the page is drawn, so it isn't a module.
  { files: ["site/ui/theme.js"], languageOptions: { sourceType: "script" } },
  { files: ["*.mjs", "scripts/**"], languageOptions: { globals: node } },
  // Parts of the journeys run in the page.
  { files: ["scripts/check/suites/site/**"], languageOptions: { globals: browser } },
  // A language without an answer has a hole before its code.
  { files: ["scripts/check/suites/estimates/samples.mjs"], rules: { "no-sparse-arrays": "off" } },
];
