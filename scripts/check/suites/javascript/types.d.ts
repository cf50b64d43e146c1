// The types in `site/session` and `site/files`. They aren't in the scripts, because browsers load the scripts with their comments,
// and not in `site/`, because a function contains every file there.

// --- Requests ---

/** The parts of a request. */
interface Options {
  body?: unknown;
  query?: Query;
  /** The idempotency key. */
  key?: string | null;
  accept?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Sends no token. */
  open?: boolean;
}

/** The parameters after the path. Null and empty values are left out. */
type Query = Record<string, any> | null;

type Read = (path: string, query?: Query, options?: Options) => Promise<any>;
type Write = (path: string, body?: unknown, options?: Options) => Promise<any>;

/** A new account. */
interface Registration {
  username: string;
  email: string | null;
  password: string;
}

/** A failure that the API or this page describes. */
interface Problem {
  /** 0 if no reply arrived. */
  status?: number;
  code?: string;
  detail?: string;
  /** The error messages for each field. */
  errors?: Record<string, string[]>;
  /** In seconds. */
  retryAfter?: number | null;
  /** The lowest amount that is enough, if the request offered too little. */
  cost?: number | null;
  /** By usage, the prompt's usual price. */
  prompt?: number | null;
  /** By usage, the highest price. */
  most?: number | null;
}

// --- The account ---

/** The part of a reply that concerns the balance. Most replies lack some of the fields. */
interface BalanceReply {
  tokens_left?: number;
  tokens_held?: number;
  /** The price of the message to which this is the reply. */
  tokens_deducted?: number;
  /** The price of all answers on a server without a price list. */
  chat_price?: number;
  top_up?: TopUp | null;
  allowance?: Allowance | null;
}

/** The same, as one tab tells it to the others. */
interface Learned {
  left?: number;
  holds?: number;
  cost?: number;
  more?: TopUp | null;
  filled?: Allowance | null;
}

/** The operator's words about getting more tokens. */
interface TopUp {
  text?: string | null;
  url?: string | null;
}

/** The number of tokens to which the balance is filled up each day, week or month. */
interface Allowance {
  tokens: number;
  per: string;
  /** The next time, as a day in UTC. */
  next: string;
}

/** The profile, of which the checked scripts use only the id. */
interface Profile extends BalanceReply {
  id: string;
}

/** What an answer to the next message will usually cost. `isCut` if the balance may shorten a long one. */
interface Offer {
  usual: number;
  isCut?: boolean;
}

/** The API's refusal of a message that the balance doesn't cover. */
interface Refusal {
  cost: number | null;
  prompt: number | null;
}

/** `sells` if there are packs on sale, and `isUsed` if the account has bought one before. */
interface Shop {
  sells: boolean;
  isUsed: boolean;
}

/** A reply with the packs on sale and the newest purchases. */
interface Offers {
  packs: unknown[];
  purchases: unknown[];
}

/** Takes another tab's message about a change. */
type Act = (about: any) => void;

// --- Models ---

/** A row of the price list, with the fields that the checked scripts use. */
interface Model {
  name: string;
  kind?: string;
  /** True for the default model of its kind. */
  default?: boolean;
  fare: Fare;
  /** The mean number of model tokens in an answer, of all users' messages. */
  usual_answer?: number;
  /** The maximum number of model tokens in a picture. */
  picture?: number;
  /** The tokens that a message may cost in addition to its highest price by the list's rates. This page sets them. */
  more?: number;
}

/** The API's reply about the models. `version` is null without a price list. */
interface ModelList {
  version: string | null;
  models: Model[];
  brand?: object;
  /** The operator's word for tokens. */
  currency?: string;
  /** True if the operator lets users share chats. */
  sharing?: boolean;
  /** True if a model can write the titles of conversations. */
  titles?: boolean;
  /** The maximum number of earlier messages that the AI gets with a message, and their maximum size in bytes. */
  context: { chats: number; bytes: number };
  /** The limits of the files that can be sent with a message. Missing if none can. */
  attachments?: object;
}

/** One price for all messages, in tokens. */
interface FlatFare {
  message: number;
}

/** Tokens per million model tokens. A fare for embeddings has no `output`. */
interface UsageFare {
  message?: undefined;
  input: number;
  cached: number;
  write?: number;
  output?: number;
}

type Fare = FlatFare | UsageFare;

/** A price in tokens, of a message with these numbers of model tokens. */
type Price = (fare: Fare, prompt: number, answer: number) => number;

/** The numbers of model tokens of an answered message. */
interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  cached_tokens?: number;
  written_tokens?: number;
  /** True if the model's provider didn't report them. */
  estimated?: boolean;
}

/** A chat, or a row of the statement. */
interface Charged {
  id: string;
  /** Missing for a row without a price list. */
  model?: string | null;
  usage?: Usage | null;
}

/** A row of the statement, with the fields that the checked scripts use. */
interface LedgerRow extends Charged {
  kind: string;
  reason?: string | null;
  key_name?: string | null;
  amount: number;
  /** The number of times that the price was charged for a long prompt. */
  units?: number;
  fare?: Fare | null;
}

/** What this browser remembers of a model. */
interface Usual {
  /** The model tokens of the last answers, by time. */
  answers: Record<string, number>;
  picture?: [mean: number, count: number];
  /** True once the statement has been read. */
  whole?: boolean;
}

// --- Files ---

/** What is sent of a file. */
interface Part {
  name: string;
  type: string;
  bytes: number;
  /** A picture, as Base64. A part has either `data` or `text`. */
  data?: string;
  text?: string;
  /** Says what is missing. */
  cut: string | null;
}

interface FileOptions {
  /** The API's limits. */
  limits: { bytes: number };
  /** How many more pictures the message can have, or why it can have none. */
  pictures: number | string;
  signal: AbortSignal;
  /** Takes a number from 0 to 1. */
  progress: (share: number) => void;
}

interface PdfOptions {
  /** The maximum size of a part, in bytes. */
  most: number;
  signal: AbortSignal;
  progress: (share: number) => void;
}

interface PdfReading extends PdfOptions {
  pdf: Pdf;
  /** Waits for the worker, and throws if it fails. */
  within: <Result>(work: Promise<Result>) => Promise<Result>;
}

/** A document of pdf.js, with what the pages use of it. */
interface Pdf {
  numPages: number;
  getPage(number: number): Promise<PdfPage>;
}

interface PdfPage {
  cleanup(): void;
  getTextContent(): Promise<{ items: { str?: string; hasEOL?: boolean }[] }>;
  getViewport(options: { scale: number }): { width: number; height: number };
  render(options: object): { promise: Promise<void> };
}

type Canvas = HTMLCanvasElement | OffscreenCanvas;

type ReadNumber = (bytes: Uint8Array, at: number, count: number) => number;

/** Reads a picture's size. Returns null if its file doesn't tell it. */
type ReadSize = (bytes: Uint8Array) => [width: number, height: number] | null;

// --- Scripts that aren't checked ---

declare module "*/ui/brand.js" {
  export function currentBrand(): { name?: string };
  export function useBrand(brand?: object): Promise<void>;
}

declare module "*/ui/dom.js" {
  export function fill<Kind extends Element>(element: Kind, ...children: unknown[]): Kind;
  export function h<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, props: object, ...children: unknown[]): HTMLElementTagNameMap[Tag];
}

declare module "*/ui/format.js" {
  export function formatNumber(number: number): string;
  export function formatTokens(number: number): string;
  export function formatUtcDay(day: string): string;
  export function inCurrency(text: string): string;
  export function plural(number: number, word: string): string;
  export function useCurrency(word: string): boolean;
}

declare module "*/ui/icons.js" {
  export function icon(name: string): SVGSVGElement;
}

declare module "*/pdf.min.mjs";

// --- What TypeScript doesn't know ---

interface ScriptPolicy {
  createScriptURL(url: string): string;
}

/** Missing in a browser without trusted types. */
declare var trustedTypes: { createPolicy(name: string, rules: ScriptPolicy): ScriptPolicy } | undefined;

/** Without this, TypeScript doesn't conclude that the value is a number. */
interface NumberConstructor {
  isInteger(number: unknown): number is number;
}
