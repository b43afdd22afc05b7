/**
 * A text to token ids and the bounds of every token, in code points of the text as given.
 *
 * The vocabulary and the models (WordPiece, BPE) are those of `@huggingface/tokenizers`. It gives
 * no offsets, so what comes before the model is done here: see `aligned.js`.
 */

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { align, normalizer, slice, transform } from "./aligned.js";
import { isLetter, isNumber, isPunctuation, isWhite } from "./unicode.js";

/** @typedef {import("./aligned.js").Aligned} Aligned */
/** @typedef {{ids: number[], offsets: [number, number][]}} Encoding */
/** @typedef {(pieces: Aligned[]) => Aligned[]} Splitter */
/**
 * @typedef {{id: number, content: string[], single: boolean, lstrip: boolean, rstrip: boolean,
 *   special: boolean}} Added
 */

const GLYPHS = byteGlyphs();
const SPACE = GLYPHS[32];
const UTF8 = new TextEncoder();

/** GPT-2's printable character for each byte. */
function byteGlyphs() {
  const plain = (/** @type {number} */ b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(plain(b) ? b : next++));
}

/** @type {Record<string, (config: any) => Splitter>} */
const SPLITTERS = {
  Sequence: (config) => {
    const steps = /** @type {Splitter[]} */ (config.pretokenizers.map(splitter));
    return (pieces) => steps.reduce((current, step) => step(current), pieces);
  },
  BertPreTokenizer: () => (pieces) => pieces.flatMap(splitWords),
  ByteLevel: (config) => (pieces) =>
    pieces
      .map((piece) => (config.add_prefix_space ? prefixed(piece) : piece))
      .flatMap((piece) => (config.use_regex ?? true ? splitPieces(piece) : [piece]))
      .map(toBytes),
};

/** @param {any} config @returns {Splitter} */
function splitter(config) {
  if (config === null || config === undefined) return (pieces) => pieces;
  const make = Object.hasOwn(SPLITTERS, config.type) ? SPLITTERS[config.type] : undefined;
  if (!make) {
    throw new Error(
      `a pre-tokeniser of a known kind\n  got: ${config.type}\n  do:  use one of ${Object.keys(SPLITTERS).join(", ")}`,
    );
  }
  return make(config);
}

/** Words between blanks, and every punctuation mark alone. @param {Aligned} text @returns {Aligned[]} */
function splitWords(text) {
  const pieces = [];
  let start = 0;
  for (let i = 0; i <= text.chars.length; i += 1) {
    const blank = i === text.chars.length || isWhite(text.chars[i]);
    if (!blank && !isPunctuation(text.chars[i])) continue;
    if (i > start) pieces.push(slice(text, start, i));
    if (!blank) pieces.push(slice(text, i, i + 1));
    start = i + 1;
  }
  return pieces;
}

/**
 * GPT-2's pieces: a contraction, or a run of letters, of numbers or of other characters, each with
 * one blank before it, or a run of blanks.
 *
 * Done on classes (l, n, s, o) and not on the text itself, whose letters Node.js may not know yet.
 *
 * @param {Aligned} text @returns {Aligned[]}
 */
function splitPieces(text) {
  const plain = text.chars.map((char) => (char.charCodeAt(0) < 128 ? char : classOf(char))).join("");
  let at = 0;
  return Array.from(plain.matchAll(GPT2), ([match]) => {
    const from = at;
    at += match.length;
    return slice(text, from, at);
  });
}

const GPT2 = /'(?:[sdmt]|ll|ve|re)| ?[A-Za-z\xc0]+| ?[0-9\xb2]+| ?[^\t-\r A-Za-z0-9\xc0\xb2\x85]+|[\t-\r \x85]+(?![^\t-\r \x85])|[\t-\r \x85]+/g;

/** One character of the same class for any outside of ASCII. @param {string} char */
function classOf(char) {
  if (isLetter(char)) return "\xc0";
  if (isNumber(char)) return "\xb2";
  return isWhite(char) ? "\x85" : "\xa1";
}

/** @param {Aligned} text @returns {Aligned} */
function prefixed(text) {
  if (text.chars.length === 0 || text.chars[0] === " ") return text;
  /** @type {[string, number][]} */
  const made = text.chars.map((char, i) => [char, i === 0 ? 1 : 0]);
  return transform(text, [[" ", 0], ...made]);
}

/** @param {Aligned} text @returns {Aligned} */
function toBytes(text) {
  /** @type {[string, number][]} */
  const made = text.chars.flatMap((char) =>
    Array.from(UTF8.encode(char), (byte, i) => /** @type {[string, number]} */ ([GLYPHS[byte], i > 0 ? 1 : 0])),
  );
  return transform(text, made);
}

export class Tokenizer {
  /** @param {any} config The content of `tokenizer.json`. */
  constructor(config) {
    this.library = new Library(config, {});
    this.normalize = normalizer(config.normalizer);
    this.split = splitter(config.pre_tokenizer);
    this.prefix = config.model.continuing_subword_prefix ?? "";
    this.kind = config.model.type;
    this.trims = trimming(config.post_processor);
    if (this.kind !== "WordPiece" && this.kind !== "BPE") {
      throw new Error(`a model of kind WordPiece or BPE\n  got: ${this.kind}`);
    }
    const added = /** @type {any[]} */ (config.added_tokens ?? []);
    /** Added tokens that are found in the text as given, and those found after normalising. */
    this.plain = added.filter((t) => !isNormalized(t)).map((t) => toAdded(t, Array.from(t.content)));
    this.normal = added
      .filter(isNormalized)
      .map((t) => toAdded(t, this.normalize(align(Array.from(t.content))).chars));
    const [before, after] = this.specialIds();
    this.before = before;
    this.after = after;
  }

  /** Ids of the special tokens before and after a text. @returns {[number[], number[]]} */
  specialIds() {
    const whole = /** @type {number[]} */ (this.library.encode("a").ids);
    const content = /** @type {number[]} */ (
      this.library.encode("a", { add_special_tokens: false }).ids
    );
    const at = whole.findIndex((_, i) => content.every((id, j) => whole[i + j] === id));
    if (content.length === 0) return [whole.slice(0, 1), whole.slice(1)];
    return [whole.slice(0, at), whole.slice(at + content.length)];
  }

  /**
   * Return a text's tokens without special ones.
   *
   * @param {string[]} chars The code points of the text. @returns {Encoding}
   */
  encode(chars) {
    /** @type {Encoding} */
    const out = { ids: [], offsets: [] };
    /** @type {string[]} */
    const tokens = [];
    const whole = (/** @type {number} */ id, /** @type {Aligned} */ part) => {
      push(out, id, part, 0, part.chars.length);
      tokens.push(part.chars.join(""));
    };
    for (const outer of cut(align(chars), this.plain)) {
      if (outer.id !== undefined) {
        whole(outer.id, outer.text);
        continue;
      }
      for (const inner of cut(this.normalize(outer.text), this.normal)) {
        if (inner.id !== undefined) {
          whole(inner.id, inner.text);
          continue;
        }
        for (const piece of this.split([inner.text])) {
          // one by one: a call takes some 110,000 arguments at most, and a word may have more tokens
          for (const token of this.encodePiece(piece, out)) tokens.push(token);
        }
      }
    }
    if (this.trims) trimSpaces(out, tokens, this.trims.add_prefix_space);
    return out;
  }

  /** Add the tokens of a word to an encoding. @param {Aligned} piece @param {Encoding} out @returns {string[]} */
  encodePiece(piece, out) {
    const model = /** @type {any} */ (this.library.model);
    const tokens = /** @type {string[]} */ (model.encode([piece.chars.join("")]));
    let at = 0;
    tokens.forEach((token, i) => {
      const id = /** @type {number} */ (model.tokens_to_ids.get(token) ?? model.unk_token_id);
      const unknown = token === model.unk_token && tokens.length === 1;
      const length = unknown ? piece.chars.length : this.lengthOf(token, i);
      push(out, id, piece, at, at + length);
      at += length;
    });
    if (at !== piece.chars.length) {
      throw new Error("tokens that cover their word\n  got: a vocabulary that lacks some bytes");
    }
    return tokens;
  }

  /** @param {string} token @param {number} index @returns {number} */
  lengthOf(token, index) {
    const length = Array.from(token).length;
    return this.kind === "WordPiece" && index > 0 ? length - this.prefix.length : length;
  }
}

/** @param {Encoding} out @param {number} id @param {Aligned} text @param {number} from @param {number} to */
function push(out, id, text, from, to) {
  out.ids.push(id);
  out.offsets.push([text.starts[from], text.ends[to - 1]]);
}

/** @param {any} token */
const isNormalized = (token) => token.normalized ?? !token.special;

/** @param {any} token @param {string[]} content @returns {Added} */
const toAdded = (token, content) => ({
  id: token.id,
  content,
  single: token.single_word ?? false,
  lstrip: token.lstrip ?? false,
  rstrip: token.rstrip ?? false,
  special: token.special ?? false,
});

/**
 * Cut added tokens out of a text: the leftmost first, the longest of those.
 *
 * A special one is passed over: what a text spells out is text, and nobody can write a separator.
 *
 * @param {Aligned} text @param {Added[]} added @returns {{text: Aligned, id?: number}[]}
 */
function cut(text, added) {
  const { chars } = text;
  const initials = new Map(/** @type {[string, Added[]][]} */ ([]));
  for (const token of added) {
    if (token.content.length === 0) continue;
    const same = initials.get(token.content[0]) ?? [];
    same.push(token);
    initials.set(token.content[0], same);
  }
  const parts = [];
  let done = 0;
  for (let i = 0; i < chars.length; ) {
    const found = longest(chars, i, initials.get(chars[i]));
    if (!found) {
      i += 1;
      continue;
    }
    let [start, end] = [i, i + found.content.length];
    i = end;
    if (found.special) continue;
    if (found.single && (isWordAt(chars, start - 1) || isWordAt(chars, end))) continue;
    if (found.lstrip) while (start > done && isWhite(chars[start - 1])) start -= 1;
    if (found.rstrip) while (end < chars.length && isWhite(chars[end])) end += 1;
    start = Math.max(start, done);
    if (start > done) parts.push({ text: slice(text, done, start) });
    parts.push({ text: slice(text, start, end), id: found.id });
    done = end;
  }
  if (done < chars.length) parts.push({ text: slice(text, done) });
  return parts;
}

/** @param {string[]} chars @param {number} at @param {Added[] | undefined} tokens @returns {Added | undefined} */
function longest(chars, at, tokens) {
  return (tokens ?? [])
    .filter((token) => token.content.every((char, j) => chars[at + j] === char))
    .reduce(
      (/** @type {Added | undefined} */ best, token) =>
        best && best.content.length >= token.content.length ? best : token,
      undefined,
    );
}

/** @param {string[]} chars @param {number} at */
const isWordAt = (chars, at) => at >= 0 && at < chars.length && /^[\p{L}\p{N}\p{M}_]$/u.test(chars[at]);

/** The post-processor that takes blanks off a token's bounds, if there is one. @param {any} config @returns {any} */
function trimming(config) {
  if (!config) return undefined;
  if (config.type === "Sequence") return config.processors.map(trimming).find(Boolean);
  const kinds = ["ByteLevel", "RobertaProcessing"];
  return kinds.includes(config.type) && (config.trim_offsets ?? true) ? config : undefined;
}

/** @param {Encoding} out @param {string[]} tokens @param {boolean} prefixes */
function trimSpaces(out, tokens, prefixes) {
  const blank = (/** @type {string} */ char) => char === SPACE || isWhite(char);
  tokens.forEach((token, i) => {
    const chars = Array.from(token);
    let leading = chars.findIndex((char) => !blank(char));
    if (leading < 0) leading = chars.length;
    const last = chars.findLastIndex((char) => !blank(char));
    const trailing = chars.length - 1 - last;
    let [start, end] = out.offsets[i];
    if (leading > 0) {
      if (prefixes && (i === 0 || start === 0)) leading -= 1;
      start = Math.min(start + leading, end);
    }
    if (trailing > 0 && end >= trailing) end = Math.max(end - trailing, start);
    out.offsets[i] = [start, end];
  });
}
