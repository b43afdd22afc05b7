/** Text in, predictions out. */

import { readFileSync } from "node:fs";
import path from "node:path";
import * as ort from "onnxruntime-node";
import { readBundle } from "./bundle.js";
import { decodeSpans } from "./decode.js";
import { postprocess, stepsFor } from "./postprocess.js";
import { isBlank } from "./python.js";
import { Tokenizer } from "./tokenizer.js";
import { argmax, mergeSequence, mergeTokens, softmax, windowsOf } from "./windows.js";

/** @typedef {import("./windows.js").Window} Window */
/** @typedef {import("./decode.js").Span} Span */
/** @typedef {Record<string, any>} Json */
/** @typedef {Float32Array[]} Rows One row for a sequence task, one a token for a token task. */

const TOKEN_BUDGET = 8192;
const MAX_CHARS = 1_000_000;

/**
 * Load a bundle that has an ONNX export.
 *
 * @param {string} directory
 * @param {{precision?: "fp32" | "int8", threads?: number, postprocess?: boolean}} [options]
 * @returns {Promise<Classifier>}
 */
export async function load(directory, options = {}) {
  const bundle = readBundle(directory, options.precision);
  if (options.postprocess === false) {
    for (const head of Object.values(bundle.heads)) head.postprocess = {};
  }
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(path.join(directory, "tokenizer.json"), "utf8")));
  const session = await ort.InferenceSession.create(bundle.graph, {
    intraOpNumThreads: options.threads ?? 1,
    logSeverityLevel: 3,
  });
  return new Classifier(bundle, tokenizer, session);
}

export class Classifier {
  /**
   * @param {import("./bundle.js").Bundle} bundle @param {Tokenizer} tokenizer
   * @param {ort.InferenceSession} session
   */
  constructor(bundle, tokenizer, session) {
    this.bundle = bundle;
    this.tokenizer = tokenizer;
    this.session = session;
  }

  /** Names of the heads, in the order of the outputs. */
  get heads() {
    return Object.keys(this.bundle.heads);
  }

  /**
   * Return each text's predictions, by head.
   *
   * @param {string[]} texts @param {{heads?: string[]}} [options]
   */
  async predict(texts, options = {}) {
    if (!Array.isArray(texts)) throw new TypeError("an array of texts\n  got: something else");
    const heads = options.heads ?? this.heads;
    for (const head of heads) {
      if (!Object.hasOwn(this.bundle.heads, head)) {
        throw new RangeError(`a head of ${this.heads.join(", ")}\n  got: ${head}`);
      }
    }
    const chars = texts.map((text, i) => toChars(text, i));
    const windows = chars.map((own) => windowsOf(this.tokenizer, own, this.bundle.maxLength));
    const logits = await this.run(windows.flat(), heads);
    let first = 0;
    return windows.map((parts, i) => {
      const from = first;
      first += parts.length;
      return Object.fromEntries(
        heads.map((head) => [
          head,
          decide(this.bundle.heads[head], chars[i], parts, logits[head].slice(from, first)),
        ]),
      );
    });
  }

  /**
   * Return the logits of windows by head, in the windows' order.
   *
   * @param {Window[]} windows @param {string[]} heads @returns {Promise<Record<string, Rows[]>>}
   */
  async run(windows, heads) {
    /** @type {Record<string, Rows[]>} */
    const found = Object.fromEntries(heads.map((head) => [head, []]));
    for (const batch of batches(windows.map((window) => window.ids.length))) {
      const rows = batch.map((index) => windows[index].ids);
      const output = await this.session.run(
        pad(rows, this.bundle.padId),
        heads.map((head) => this.bundle.outputs[head]),
      );
      for (const head of heads) {
        const tensor = output[this.bundle.outputs[head]];
        batch.forEach((index, row) => {
          found[head][index] = rowsOf(tensor, row, windows[index].ids.length);
        });
      }
    }
    return found;
  }
}

/** @param {number[][]} rows @param {number} padId @returns {Record<string, ort.Tensor>} */
function pad(rows, padId) {
  const longest = Math.max(...rows.map((row) => row.length));
  const ids = new BigInt64Array(rows.length * longest).fill(BigInt(padId));
  const mask = new BigInt64Array(rows.length * longest);
  rows.forEach((row, i) =>
    row.forEach((id, j) => {
      ids[i * longest + j] = BigInt(id);
      mask[i * longest + j] = 1n;
    }),
  );
  const shape = [rows.length, longest];
  return {
    input_ids: new ort.Tensor("int64", ids, shape),
    attention_mask: new ort.Tensor("int64", mask, shape),
  };
}

/** @param {ort.Tensor} tensor @param {number} row @param {number} tokens @returns {Rows} */
function rowsOf(tensor, row, tokens) {
  const data = /** @type {Float32Array} */ (tensor.data);
  const labels = tensor.dims[tensor.dims.length - 1];
  if (tensor.dims.length === 2) return [data.slice(row * labels, (row + 1) * labels)];
  const start = row * tensor.dims[1] * labels;
  return Array.from({ length: tokens }, (_, i) =>
    data.slice(start + i * labels, start + (i + 1) * labels),
  );
}

/** Group windows of like length under a budget of tokens, the longest first. @param {number[]} lengths */
function* batches(lengths) {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b);
  /** @type {number[]} */
  let batch = [];
  for (const index of order) {
    if (batch.length > 0 && (batch.length + 1) * lengths[batch[0]] > TOKEN_BUDGET) {
      yield batch;
      batch = [];
    }
    batch.push(index);
  }
  if (batch.length > 0) yield batch;
}

/** The code points of a text that a model can read; errors never quote it. */
/** @param {unknown} text @param {number} index @returns {string[]} */
function toChars(text, index) {
  const name = `text ${index + 1}`;
  if (typeof text !== "string") throw new TypeError(`${name} to be a string\n  got: ${typeof text}`);
  const chars = Array.from(text);
  if (chars.every(isBlank)) throw new RangeError(`${name} to hold more than blanks`);
  if (chars.length > MAX_CHARS) throw new RangeError(`${name} of at most ${MAX_CHARS} characters`);
  if (text.includes("\0")) throw new RangeError(`${name} without NUL`);
  if (!text.isWellFormed()) throw new RangeError(`${name} in valid Unicode\n  got: a lone surrogate`);
  return chars;
}

/**
 * Turn the logits of a text's windows into its prediction.
 *
 * @param {Json} meta @param {string[]} chars @param {Window[]} windows @param {Rows[]} logits
 */
export function decide(meta, chars, windows, logits) {
  return meta.task.level === "token"
    ? decideTokens(meta, chars, windows, logits)
    : decideSequence(meta, windows, logits);
}

/** @param {Json} meta @param {Window[]} windows @param {Rows[]} logits */
function decideSequence(meta, windows, logits) {
  const { task } = meta;
  const labels = /** @type {string[]} */ (task.labels);
  const positive = task.positive ?? null;
  const probabilities = mergeSequence(
    logits.map(([row]) => softmax(Array.from(row), meta.temperature)),
    windows,
    positive === null ? null : labels.indexOf(positive),
  );
  let label = labels[argmax(probabilities)];
  if (positive !== null) {
    const sure = probabilities[labels.indexOf(positive)] >= (meta.thresholds[positive] ?? 0.5);
    // a detector has two labels; bundle.json names the positive one alone
    label = sure ? positive : /** @type {string} */ (labels.find((other) => other !== positive));
  }
  const score = probabilities[labels.indexOf(label)];
  return {
    task: task.name,
    label,
    score,
    probabilities: Object.fromEntries(labels.map((name, i) => [name, probabilities[i]])),
    tools: task.tools?.[label] ?? [],
    unsure: score < meta.abstain_below,
  };
}

/** @param {Json} meta @param {string[]} chars @param {Window[]} windows @param {Rows[]} logits */
function decideTokens(meta, chars, windows, logits) {
  const parts = windows.map((window, i) =>
    logits[i]
      .slice(window.prefix, window.prefix + window.offsets.length)
      .map((row) => softmax(Array.from(row), meta.temperature)),
  );
  const { rows, offsets } = mergeTokens(parts, windows);
  const found = decodeSpans(rows, offsets, chars, meta.task.labels, {
    words: meta.pool_words,
    adjacentCost: meta.adjacent_cost ?? 0,
  });
  const steps = stepsFor(meta.task.labels, meta.postprocess ?? {});
  const sure = (/** @type {Span[]} */ spans) =>
    spans.filter((span) => span.score >= (meta.thresholds[span.label] ?? 0));
  const spans = sure(postprocess(chars, found, steps));
  return {
    task: meta.task.name,
    score: spans.reduce((best, span) => Math.max(best, span.score), 0),
    spans,
    steps: steps.map(({ name }) => name),
    unprocessed: steps.length > 0 ? sure(found) : null,
  };
}
