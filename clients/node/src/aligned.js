/**
 * Normalisation that remembers where every character came from.
 *
 * `@huggingface/tokenizers` normalises whole strings and keeps no offsets, so its normalisers are
 * done again here, on arrays of code points with the bounds that each has in the text as given.
 * They follow the Rust library `tokenizers`, which Python uses, also in what it makes of a
 * character that was inserted (the bounds of the one before) or composed (those of its first part).
 */

import * as library from "@huggingface/tokenizers";
import { isChinese, isControl, isMark, isWhite } from "./unicode.js";

/** @typedef {{chars: string[], starts: number[], ends: number[]}} Aligned */
/** @typedef {(text: Aligned) => Aligned} Step */

/** @param {string[]} chars @returns {Aligned} */
export function align(chars) {
  return { chars, starts: chars.map((_, i) => i), ends: chars.map((_, i) => i + 1) };
}

/** @param {Aligned} text @param {number} from @param {number} [to] @returns {Aligned} */
export function slice(text, from, to) {
  return {
    chars: text.chars.slice(from, to),
    starts: text.starts.slice(from, to),
    ends: text.ends.slice(from, to),
  };
}

/**
 * Rewrite a text. Of each new character its change says: 0, it replaces one; above, it is put in
 * beside what stands before; below, it replaces one and so many more after it go.
 *
 * @param {Aligned} text @param {[string, number][]} made @returns {Aligned}
 */
export function transform(text, made) {
  /** @type {Aligned} */
  const out = { chars: [], starts: [], ends: [] };
  let at = 0;
  for (const [char, change] of made) {
    const from = change > 0 ? at - 1 : at;
    out.chars.push(char);
    out.starts.push(from < 0 ? 0 : text.starts[from]);
    out.ends.push(from < 0 ? 0 : text.ends[from]);
    if (change <= 0) at += 1 - change;
  }
  return out;
}

/** @param {Aligned} text @param {(char: string) => boolean} keep @returns {Aligned} */
function filter(text, keep) {
  /** @type {Aligned} */
  const out = { chars: [], starts: [], ends: [] };
  text.chars.forEach((char, i) => {
    if (!keep(char)) return;
    out.chars.push(char);
    out.starts.push(text.starts[i]);
    out.ends.push(text.ends[i]);
  });
  return out;
}

/** @param {Aligned} text @param {(char: string) => string} change @returns {Aligned} */
function expand(text, change) {
  if (!text.chars.some((char) => change(char) !== char)) return text;
  /** @type {[string, number][]} */
  const made = text.chars.flatMap((char) =>
    Array.from(change(char), (piece, i) => /** @type {[string, number]} */ ([piece, i > 0 ? 1 : 0])),
  );
  return transform(text, made);
}

/** Lower case character by character: a sigma at a word's end stays a plain one. @type {Step} */
const lowercase = (text) => expand(text, (char) => char.toLowerCase());

/** @type {Step} */
const cleanText = (text) => {
  const kept = filter(text, (c) => c !== "\0" && !isControl(c));
  return { ...kept, chars: kept.chars.map((c) => (isWhite(c) ? " " : c)) };
};

/** @type {Step} */
const spaceChinese = (text) =>
  transform(
    text,
    text.chars.flatMap((char) =>
      /** @type {[string, number][]} */ (
        isChinese(char) ? [[" ", 0], [char, 1], [" ", 1]] : [[char, 0]]
      ),
    ),
  );

/** @type {Step} */
const stripMarks = (text) => filter(text, (char) => !isMark(char));

/**
 * Decompose, with the canonical order of marks. A reordered mark keeps its own change, as in Rust.
 *
 * @param {"NFD" | "NFKD"} form @returns {(text: Aligned) => [string, number][]}
 */
const decomposed = (form) => (text) => {
  /** @type {[string, number][]} */
  const parts = text.chars.flatMap((char) =>
    Array.from(
      char.normalize(form),
      (piece, i) => /** @type {[string, number]} */ ([piece, i > 0 ? 1 : 0]),
    ),
  );
  const plain = parts.map(([char]) => char).join("");
  const ordered = plain.normalize("NFD");
  if (plain === ordered) return parts;
  return reorder(parts, Array.from(ordered));
};

/**
 * Bring parts into the order of `wanted`. Sorting by class is stable and equal characters are of one
 * class, so the first unused part of a character is the one.
 *
 * @param {[string, number][]} parts @param {string[]} wanted @returns {[string, number][]}
 */
function reorder(parts, wanted) {
  /** @type {[string, number][]} */
  const out = [];
  let first = 0;
  const used = new Set();
  for (const char of wanted) {
    while (used.delete(first)) first += 1;
    let at = first;
    while (used.has(at) || parts[at][0] !== char) at += 1;
    used.add(at);
    out.push(parts[at]);
  }
  return out;
}

/** @param {"NFD" | "NFKD"} form @returns {Step} */
const decompose = (form) => (text) =>
  text.chars.join("").normalize(form) === text.chars.join("")
    ? text
    : transform(text, decomposed(form)(text));

/** @param {string} a @param {string} b @returns {string | null} */
function composePair(a, b) {
  const both = (a + b).normalize("NFC");
  return Array.from(both).length === 1 ? both : null;
}

/** @param {string} a @param {string} b Whether two decomposed characters keep this order. */
const ordered = (a, b) => (a + b).normalize("NFD") === a + b;

/**
 * Whether a character is of combining class 0; U+0345 alone is of the highest class.
 *
 * @param {string} char
 */
const isStarter = (char) => char !== "\u0345" && ordered("\u0345", char);

/** @param {string} a @param {string} b Whether two marks are of one combining class. */
const sameClass = (a, b) => ordered(a, b) && ordered(b, a);

/**
 * Compose after decomposing: Unicode's algorithm, with the changes summed over what was joined.
 *
 * @param {"NFD" | "NFKD"} form @returns {Step}
 */
const compose = (form) => (text) => {
  const whole = text.chars.join("");
  if (whole.normalize(form === "NFD" ? "NFC" : "NFKC") === whole) return text;
  /** @type {[string, number][]} */
  const out = [];
  let starter = -1; // where in `out` the character stands that the next ones may join
  for (const [char, change] of decomposed(form)(text)) {
    const starts = isStarter(char);
    const adjacent = out.length - 1 === starter;
    if (starter >= 0 && (adjacent || (!starts && !sameClass(out[out.length - 1][0], char)))) {
      const joined = composePair(out[starter][0], char);
      if (joined !== null) {
        out[starter] = [joined, out[starter][1] + change - 1];
        continue;
      }
    }
    out.push([char, change]);
    if (starts) starter = out.length - 1;
  }
  return transform(text, out);
};

/** @param {{pattern: object, content: string}} config @returns {Step} */
function replace(config) {
  // its types leave the class out, and it is what turns Oniguruma's patterns into JavaScript's
  const { ReplaceNormalizer } = /** @type {any} */ (library);
  const pattern = /** @type {RegExp} */ (new ReplaceNormalizer(config).pattern);
  return (text) => {
    const whole = text.chars.join("");
    const matches = [...whole.matchAll(pattern)].filter((match) => match[0] !== "");
    if (matches.length === 0) return text;
    const content = Array.from(config.content);
    /** @type {Aligned} */
    const out = { chars: [], starts: [], ends: [] };
    let unit = 0;
    let at = 0;
    for (const match of matches) {
      const from = at + Array.from(whole.slice(unit, match.index)).length;
      append(out, slice(text, at, from));
      at = from + Array.from(match[0]).length;
      unit = match.index + match[0].length;
      for (const char of content) {
        out.chars.push(char);
        out.starts.push(text.starts[at - 1]);
        out.ends.push(text.ends[at - 1]);
      }
    }
    append(out, slice(text, at));
    return out;
  };
}

/** @param {Aligned} out @param {Aligned} more */
function append(out, more) {
  for (let i = 0; i < more.chars.length; i += 1) {
    out.chars.push(more.chars[i]);
    out.starts.push(more.starts[i]);
    out.ends.push(more.ends[i]);
  }
}

/** @param {any} config @returns {Step} */
function bert(config) {
  /** @type {Step[]} */
  const steps = [];
  if (config.clean_text) steps.push(cleanText);
  if (config.handle_chinese_chars) steps.push(spaceChinese);
  if (config.strip_accents ?? config.lowercase) steps.push(decompose("NFD"), stripMarks);
  if (config.lowercase) steps.push(lowercase);
  return chain(steps);
}

/** @param {Step[]} steps @returns {Step} */
const chain = (steps) => (text) => steps.reduce((current, step) => step(current), text);

/** @type {Record<string, (config: any) => Step>} */
const KINDS = {
  Sequence: (config) => chain(config.normalizers.map(normalizer)),
  Replace: replace,
  BertNormalizer: bert,
  Lowercase: () => lowercase,
  NFD: () => decompose("NFD"),
  NFKD: () => decompose("NFKD"),
  NFC: () => compose("NFD"),
  NFKC: () => compose("NFKD"),
  StripAccents: () => (text) => filter(text, (char) => !/^\p{M}$/u.test(char)),
};

/**
 * Return the normaliser of a `tokenizer.json`.
 *
 * @param {any} config @returns {Step}
 */
export function normalizer(config) {
  if (config === null || config === undefined) return (text) => text;
  const make = Object.hasOwn(KINDS, config.type) ? KINDS[config.type] : undefined;
  if (!make) {
    throw new Error(
      `a normaliser of a known kind\n  got: ${config.type}\n  do:  use one of ${Object.keys(KINDS).join(", ")}`,
    );
  }
  return make(config);
}
