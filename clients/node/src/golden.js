/** Golden answers: what this client says of a bundle's 200 texts, against what torch said. */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { BundleError, checkHash } from "./bundle.js";
import { decide, load } from "./client.js";
import { windowsOf } from "./windows.js";

/** @typedef {Record<string, any>} Json */
/**
 * @typedef {object} Verified
 * @property {number} texts
 * @property {number} windows
 * @property {number} logits Largest difference of a logit.
 * @property {number} probabilities Largest difference of a probability or a span's score.
 * @property {string[]} faults What differs; texts by number and never by content.
 */

export const TOLERANCE = 1e-4;
const GOLDEN = "golden.jsonl";

/** @param {string} directory @param {Record<string, string>} files @returns {Json[]} */
function readGolden(directory, files) {
  const file = path.join(directory, GOLDEN);
  if (!existsSync(file) || !files[GOLDEN]) {
    throw new BundleError(`${directory}: golden answers`, "none", "calibrate it: that writes them");
  }
  checkHash(file, files[GOLDEN]);
  return readFileSync(file, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

/**
 * Replay a bundle's golden answers.
 *
 * @param {string} directory @returns {Promise<Verified>}
 */
export async function verify(directory) {
  // by name: what is asked here is what it computes, whether it is blessed or not
  const model = await load(directory, { precision: "fp32" });
  const rows = readGolden(directory, model.bundle.files);
  const chars = rows.map((row) => Array.from(row.text));
  const windows = chars.map((own) => windowsOf(model.tokenizer, own, model.bundle.maxLength));
  /** @type {Verified} */
  const found = { texts: rows.length, windows: windows.flat().length, logits: 0, probabilities: 0, faults: [] };
  rows.forEach((row, i) => {
    if (JSON.stringify(windows[i].map(keyOf)) !== JSON.stringify(row.windows)) {
      found.faults.push(`text ${i + 1}: other windows`);
    }
  });
  if (found.faults.length > 0) return found;
  const logits = await model.run(windows.flat(), model.heads);
  let first = 0;
  rows.forEach((row, i) => {
    const last = first + windows[i].length;
    for (const head of model.heads) {
      const own = logits[head].slice(first, last);
      const answer = decide(model.bundle.heads[head], chars[i], windows[i], own);
      compare(found, `text ${i + 1}, ${head}`, row.heads[head], own, answer);
    }
    first = last;
  });
  if (!(found.logits <= TOLERANCE)) found.faults.push(`logits differ by ${found.logits}`);
  if (!(found.probabilities <= TOLERANCE)) found.faults.push(`probabilities differ by ${found.probabilities}`);
  return found;
}

/** @param {import("./windows.js").Window} window */
function keyOf(window) {
  const ids = Buffer.from(Int32Array.from(window.ids).buffer);
  return [window.first, window.ids.length, createHash("sha256").update(ids).digest("hex").slice(0, 16)];
}

/** @param {Verified} found @param {string} name @param {Json} golden @param {Float32Array[][]} logits @param {Json} answer */
function compare(found, name, golden, logits, answer) {
  logits.forEach((rows, i) => {
    found.logits = worse(found.logits, logitsApart(golden.logits[i], rows));
  });
  if (answer.spans === undefined) {
    if (answer.label !== golden.label) found.faults.push(`${name}: label ${answer.label}, not ${golden.label}`);
    if (answer.unsure !== golden.unsure) found.faults.push(`${name}: unsure differs`);
    Object.values(answer.probabilities).forEach((p, i) => {
      found.probabilities = worse(found.probabilities, Math.abs(p - golden.probabilities[i]));
    });
    return;
  }
  compareSpans(found, name, "spans", golden.spans, answer.spans);
  compareSpans(found, name, "spans before post-processing", golden.unprocessed, answer.unprocessed);
}

/**
 * @param {Verified} found @param {string} name @param {string} what
 * @param {[number, number, string, number][] | null} expected
 * @param {import("./decode.js").Span[] | null} own
 */
function compareSpans(found, name, what, expected, own) {
  const plain = own?.map((span) => [span.start, span.end, span.label]) ?? null;
  if (JSON.stringify(plain) !== JSON.stringify(expected?.map((span) => span.slice(0, 3)) ?? null)) {
    found.faults.push(`${name}: other ${what}`);
    return;
  }
  expected?.forEach(([, , , score], i) => {
    const differs = Math.abs(score - /** @type {any} */ (own)[i].score);
    found.probabilities = worse(found.probabilities, differs);
  });
}

/** The larger of two differences, where no number is the largest. @param {number} a @param {number} b */
const worse = (a, b) => (Number.isNaN(b) ? Infinity : Math.max(a, b));

/** @param {any} stored @param {Float32Array[]} rows */
function logitsApart(stored, rows) {
  if (Array.isArray(stored)) {
    return Math.max(...stored.map((value, i) => Math.abs(value - rows[0][i])));
  }
  const tops = floats(stored.tops);
  const labels = Buffer.from(stored.labels, "base64");
  const kept = floats(stored.rows);
  if (tops.length !== rows.length) return Infinity;
  let most = 0;
  rows.forEach((row, i) => {
    most = worse(most, Math.abs(row[labels.readUInt16LE(2 * i)] - tops[i]));
    if (i % stored.every !== 0) return;
    const at = (i / stored.every) * row.length;
    row.forEach((value, j) => {
      most = worse(most, Math.abs(value - kept[at + j]));
    });
  });
  return most;
}

/** @param {string} text Base64 of little-endian float32. @returns {number[]} */
function floats(text) {
  const bytes = Buffer.from(text, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}
