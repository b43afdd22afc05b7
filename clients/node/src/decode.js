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
 * The first token and the one past the last of every word; a token of no width is in none.
 *
 * @param {[number, number][]} offsets @param {string[]} chars @returns {[number, number][]}
 */
export function groupWords(offsets, chars) {
  /** @type {[number, number][]} */
  const words = [];
  offsets.forEach((bounds, token) => {
    if (token > 0 && goesOn(offsets[token - 1], bounds, chars)) words[words.length - 1][1] = token + 1;
    else if (bounds[0] < bounds[1]) words.push([token, token + 1]);
  });
  return words;
}

/** @param {[number, number]} left @param {[number, number]} right @param {string[]} chars */
const goesOn = (left, right, chars) =>
  left[0] < left[1] && left[1] === right[0] && right[0] < right[1] && joined(chars, right[0]);

const FLOOR = 1e-6;
const log = (/** @type {number} */ value) => Math.log(Math.max(value, FLOOR));

/**
 * What is said of a word, or of a token: `outside`, the probability of O; `types`, of each type;
 * `on` and `again`, the log-shares of I and B in those of its first token.
 *
 * @typedef {{outside: number, types: number[], on: number[], again: number[]}} Unit
 */

/** @param {number[][]} tokens @returns {Unit} */
function readUnit(tokens) {
  const mean = (/** @type {(row: number[]) => number} */ value) =>
    tokens.reduce((sum, row) => sum + value(row), 0) / tokens.length;
  const kinds = Array.from({ length: (tokens[0].length - 1) / 2 }, (_, kind) => kind);
  const share = (/** @type {number} */ kind, /** @type {number} */ which) => {
    const [begin, inside] = [tokens[0][1 + 2 * kind], tokens[0][2 + 2 * kind]];
    return log((which === 1 ? begin : inside) / Math.max(begin + inside, FLOOR ** 2));
  };
  return {
    outside: mean((row) => row[0]),
    types: kinds.map((kind) => mean((row) => row[1 + 2 * kind]) + mean((row) => row[2 + 2 * kind])),
    on: kinds.map((kind) => share(kind, 2)),
    again: kinds.map((kind) => share(kind, 1)),
  };
}

/**
 * The types of a run of units in its likeliest sequence, -1 for O. Of paths alike the one through O,
 * or the type of the lower index, is taken.
 *
 * @param {Unit[]} run @param {number} cost @returns {number[]}
 */
function search(run, cost) {
  const emitted = run.map((unit) => [log(unit.outside), ...unit.types.map(log)]);
  let best = emitted[0];
  /** @type {number[][]} */
  const back = [];
  for (let at = 1; at < run.length; at += 1) {
    const sources = best.map((_, state) => {
      const paths = best.map((value, before) => {
        if (state === 0 || before === 0) return value;
        if (state !== before) return value - cost;
        return value + Math.max(run[at].on[state - 1], run[at].again[state - 1] - cost);
      });
      const source = argmax(paths);
      return { source, value: paths[source] };
    });
    back.push(sources.map(({ source }) => source));
    best = sources.map(({ value }, state) => value + emitted[at][state]);
  }
  const path = [argmax(best)];
  for (const sources of back.reverse()) path.push(sources[path[path.length - 1]]);
  return path.reverse().map((state) => state - 1);
}

/**
 * The label of every unit in the likeliest sequence, and the probability of its type. A unit whose
 * O is at least as likely as any type is O in it, so that only what lies between is searched.
 *
 * @param {Unit[]} units @param {number} cost @returns {{label: number, score: number}[]}
 */
function decide(units, cost) {
  const decided = units.map((unit) => ({ label: 0, score: unit.outside }));
  let first = 0;
  for (let end = 0; end <= units.length; end += 1) {
    if (end < units.length && Math.max(...units[end].types) > units[end].outside) continue;
    if (end > first) {
      let before = -1;
      search(units.slice(first, end), cost).forEach((kind, i) => {
        const { on, again, types } = units[first + i];
        if (kind >= 0) {
          const goes = kind === before && on[kind] >= again[kind] - cost;
          decided[first + i] = { label: 2 * kind + (goes ? 2 : 1), score: types[kind] };
        }
        before = kind;
      });
    }
    first = end + 1;
  }
  return decided;
}

/**
 * Read the spans off.
 *
 * @param {number[][]} rows @param {[number, number][]} offsets @param {string[]} chars
 * @param {string[]} types Entity types in index order.
 * @param {{words: boolean, adjacentCost: number}} how Whether words decide, or tokens; and what it
 *   costs that a span directly follows another. @returns {Span[]}
 */
export function decodeSpans(rows, offsets, chars, types, { words, adjacentCost }) {
  /** @type {[number, number][]} */
  const each = offsets.flatMap(([start, end], i) => (start < end ? [[i, i + 1]] : []));
  const bounds = words ? groupWords(offsets, chars) : each;
  const units = bounds.map(([first, end]) => readUnit(rows.slice(first, end)));
  /** @type {{kind: number, start: number, end: number, scores: number[]}[]} */
  const found = [];
  /** @type {{kind: number, start: number, end: number, scores: number[]} | null} */
  let current = null;
  decide(units, adjacentCost).forEach(({ label, score }, i) => {
    const [start, end] = [offsets[bounds[i][0]][0], offsets[bounds[i][1] - 1][1]];
    if (label === 0) {
      current = null;
      return;
    }
    const kind = Math.floor((label - 1) / 2);
    if (label % 2 === 0 && current !== null && current.kind === kind) {
      current.end = Math.max(current.end, end);
      current.scores.push(score);
      return;
    }
    const from = found.length > 0 ? Math.max(start, found[found.length - 1].end) : start;
    current = { kind, start: from, end, scores: [score] };
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
