/** Windows of a long text, and one answer from them: docs/reference/decoding.md, in JavaScript. */

import { trim } from "./python.js";

/** @typedef {import("./tokenizer.js").Tokenizer} Tokenizer */
/** @typedef {{ids: number[], offsets: [number, number][], prefix: number, first: number}} Window */
/** @typedef {Float64Array | number[]} Row */

const OVERLAP = 64;

/**
 * Cut a text into windows of at most `maxLength` tokens; at least one.
 *
 * @param {Tokenizer} tokenizer @param {string[]} chars @param {number} maxLength @returns {Window[]}
 */
export function windowsOf(tokenizer, chars, maxLength) {
  const { ids, offsets } = tokenizer.encode(chars);
  const bounds = offsets.map(([start, end]) => trim(chars, start, end));
  const { before, after } = tokenizer;
  const room = maxLength - before.length - after.length;
  const step = room - Math.min(OVERLAP, Math.floor(room / 4));
  const windows = [];
  for (let first = 0; ; first += step) {
    windows.push({
      ids: [...before, ...ids.slice(first, first + room), ...after],
      offsets: bounds.slice(first, first + room),
      prefix: before.length,
      first,
    });
    if (first + room >= ids.length) return windows;
  }
}

/** @param {Row} logits @param {number} temperature @returns {number[]} */
export function softmax(logits, temperature) {
  const scaled = Array.from(logits, (value) => value / temperature);
  const highest = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** The first place of the highest value. @param {Row} values @returns {number} */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * A text's probabilities of a sequence task from those of its windows.
 *
 * @param {number[][]} probabilities @param {Window[]} windows
 * @param {number | null} positive The label whose worst window counts, or null for the mean.
 * @returns {number[]}
 */
export function mergeSequence(probabilities, windows, positive) {
  if (windows.length === 1) return probabilities[0];
  if (positive !== null) return probabilities[argmax(probabilities.map((row) => row[positive]))];
  const total = windows.reduce((sum, window) => sum + window.offsets.length, 0);
  return probabilities[0].map((_, label) =>
    windows.reduce((sum, window, i) => sum + probabilities[i][label] * window.offsets.length, 0) / total,
  );
}

/**
 * A text's token probabilities and bounds, each token once.
 *
 * @param {number[][][]} parts Of each window the rows of its content tokens. @param {Window[]} windows
 * @returns {{rows: number[][], offsets: [number, number][]}}
 */
export function mergeTokens(parts, windows) {
  const rows = [];
  const offsets = [];
  for (let i = 0; i < windows.length; i += 1) {
    const from = i === 0 ? 0 : Math.floor(shared(windows[i - 1], windows[i]) / 2);
    let to = windows[i].offsets.length;
    if (i + 1 < windows.length) {
      const both = shared(windows[i], windows[i + 1]);
      to -= both - Math.floor(both / 2);
    }
    for (let token = from; token < to; token += 1) {
      rows.push(parts[i][token]);
      offsets.push(windows[i].offsets[token]);
    }
  }
  return { rows, offsets };
}

/** @param {Window} left @param {Window} right */
const shared = (left, right) => left.first + left.offsets.length - right.first;
