/** Token probabilities to spans: docs/reference/decoding.md, in JavaScript. */

import { isWordy, trim } from "./python.js";
import { argmax } from "./windows.js";

/** @typedef {{start: number, end: number, label: string, text: string, score: number}} Span */

const FIRST_UNPOOLED = 0x0e00;

/** @param {string} char */
const inWord = (char) => /** @type {number} */ (char.codePointAt(0)) < FIRST_UNPOOLED && isWordy(char);

/** Whether the characters before and at a place stand in one word. @param {string[]} chars @param {number} at */
export function joined(chars, at) {
  if (at <= 0 || at >= chars.length) return false;
  const escaped = at >= 2 && chars[at - 2] === "\\" && "nrt".includes(chars[at - 1]);
  return !escaped && inWord(chars[at - 1]) && inWord(chars[at]);
}

/**
 * Let the tokens of a word agree: B and I of a type are one, and the first token begins the word.
 *
 * @param {number[][]} rows @param {[number, number][]} offsets @param {string[]} chars @returns {number[][]}
 */
export function poolWords(rows, offsets, chars) {
  const pooled = [...rows];
  let start = 0;
  for (let token = 1; token <= offsets.length; token += 1) {
    if (token < offsets.length && goesOn(offsets[token - 1], offsets[token], chars)) continue;
    if (token - start > 1) {
      const first = start;
      pool(rows.slice(first, token)).forEach((row, i) => {
        pooled[first + i] = row;
      });
    }
    start = token;
  }
  return pooled;
}

/** @param {[number, number]} left @param {[number, number]} right @param {string[]} chars */
const goesOn = (left, right, chars) =>
  left[0] < left[1] && left[1] === right[0] && right[0] < right[1] && joined(chars, right[0]);

/** @param {number[][]} tokens @returns {number[][]} */
function pool(tokens) {
  const mean = (/** @type {(row: number[]) => number} */ value) =>
    tokens.reduce((sum, row) => sum + value(row), 0) / tokens.length;
  const outside = mean((row) => row[0]);
  const types = Array.from({ length: (tokens[0].length - 1) / 2 }, (_, k) =>
    mean((row) => row[1 + 2 * k] + row[2 + 2 * k]),
  );
  const best = argmax(types);
  const [begin, inside] = [1 + 2 * best, 2 + 2 * best];
  return tokens.map((row, i) => {
    const out = row.map(() => 0);
    if (outside >= types[best]) out[0] = outside;
    else out[i === 0 && row[begin] >= row[inside] ? begin : inside] = types[best];
    return out;
  });
}

/**
 * Read the spans off.
 *
 * @param {number[][]} rows @param {[number, number][]} offsets @param {string[]} chars
 * @param {string[]} types Entity types in index order. @returns {Span[]}
 */
export function decodeSpans(rows, offsets, chars, types) {
  /** @type {{kind: number, start: number, end: number, scores: number[]}[]} */
  const found = [];
  /** @type {{kind: number, start: number, end: number, scores: number[]} | null} */
  let current = null;
  rows.forEach((row, i) => {
    const [start, end] = offsets[i];
    if (start === end) return; // a token of no width says nothing: what is open stays open
    const label = argmax(row);
    if (label === 0) {
      current = null;
      return;
    }
    const kind = Math.floor((label - 1) / 2);
    if (label % 2 === 0 && current !== null && current.kind === kind) {
      current.end = Math.max(current.end, end);
      current.scores.push(row[label]);
      return;
    }
    const from = found.length > 0 ? Math.max(start, found[found.length - 1].end) : start;
    current = { kind, start: from, end, scores: [row[label]] };
    if (from < end) found.push(current);
  });
  return found.flatMap((span) => {
    const [start, end] = trim(chars, span.start, span.end);
    if (start >= end) return [];
    const mean = span.scores.reduce((sum, score) => sum + score, 0) / span.scores.length;
    const text = chars.slice(start, end).join("");
    return [{ start, end, label: types[span.kind], text, score: Math.round(mean * 1e6) / 1e6 }];
  });
}
