// What needs no bundle: normalisation with bounds, windows, words and spans.
import assert from "node:assert/strict";
import { test } from "node:test";
import { align, normalizer } from "../src/aligned.js";
import { decide } from "../src/client.js";
import { BundleError, load } from "../src/index.js";
import { decodeSpans, groupWords, joined } from "../src/decode.js";
import { trim } from "../src/python.js";
import { Tokenizer } from "../src/tokenizer.js";
import { mergeSequence, mergeTokens, softmax, windowsOf } from "../src/windows.js";

const bounds = (/** @type {any} */ text) =>
  text.chars.map((/** @type {string} */ char, /** @type {number} */ i) => [char, text.starts[i], text.ends[i]]);
const normalized = (/** @type {any} */ config, /** @type {string} */ text) =>
  bounds(normalizer(config)(align(Array.from(text))));
/** A tokenizer whose tokens are the characters. @param {number} around */
const letters = (around) => ({
  before: Array(around).fill(1),
  after: Array(around).fill(2),
  encode: (/** @type {string[]} */ chars) => ({
    ids: chars.map((char) => /** @type {number} */ (char.codePointAt(0))),
    offsets: chars.map((_, i) => [i, i + 1]),
  }),
});

test("a composed character has the bounds of its first part, a decomposed one of the whole", () => {
  assert.deepEqual(normalized({ type: "NFC" }, "xe\u0301y"), [["x", 0, 1], ["é", 1, 2], ["y", 3, 4]]);
  assert.deepEqual(normalized({ type: "NFD" }, "é"), [["e", 0, 1], ["\u0301", 0, 1]]);
});

test("marks are brought into canonical order, and Hangul is composed", () => {
  assert.deepEqual(
    normalized({ type: "NFD" }, "a\u0301\u0323").map(([char]) => char),
    ["a", "\u0323", "\u0301"],
  );
  assert.deepEqual(normalized({ type: "NFC" }, "\u1112\u1161\u11ab"), [["한", 0, 1]]);
});

test("BERT's normaliser drops, spaces, strips and lowers, character by character", () => {
  const config = { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true };
  assert.equal(normalized(config, "\u200bÉ\tΣ東").map(([char]) => char).join(""), "e σ 東 ");
  assert.deepEqual(normalized(config, "\u200bÉ")[0], ["e", 1, 2]);
});

test("what is put in place of an escape stands where the escape ends", () => {
  const rule = { type: "Replace", pattern: { Regex: "\\\\[nrt]" }, content: "\\ " };
  assert.deepEqual(normalized(rule, "👍\\nx"), [["👍", 0, 1], ["\\", 2, 3], [" ", 2, 3], ["x", 3, 4]]);
});

test("a normaliser that is not known is an error that names it", () => {
  assert.throws(() => normalizer({ type: "Precompiled" }), /got: Precompiled/);
  assert.throws(() => normalizer({ type: "constructor" }), /got: constructor/);
});

test("windows overlap, cover every token once, and step by room less overlap", () => {
  const chars = Array.from("abcdefghijklmnopqrstuvwxyz".repeat(4));
  const windows = windowsOf(/** @type {any} */ (letters(1)), chars, 22);
  assert.deepEqual(windows.map((w) => w.first), [0, 15, 30, 45, 60, 75, 90]);
  assert.ok(windows.every((w) => w.ids.length <= 22 && w.ids[0] === 1 && w.ids.at(-1) === 2));
  const { offsets } = mergeTokens(windows.map((w) => w.offsets.map(() => [1])), windows);
  assert.deepEqual(offsets, chars.map((_, i) => [i, i + 1]));
  const exact = windowsOf(/** @type {any} */ (letters(1)), chars.slice(0, 20), 22);
  assert.equal(exact.length, 1);
  assert.equal(windowsOf(/** @type {any} */ (letters(1)), [], 22).length, 1);
});

test("a detector takes its worst window, another task the mean by length", () => {
  const windows = /** @type {any} */ ([{ offsets: Array(3) }, { offsets: Array(1) }]);
  const rows = [[0.9, 0.1], [0.2, 0.8]];
  assert.deepEqual(mergeSequence(rows, windows, 1), [0.2, 0.8]);
  assert.ok(Math.abs(mergeSequence(rows, windows, null)[0] - (0.9 * 3 + 0.2) / 4) < 1e-12);
});

test("a detector says its positive label from its threshold on, and not where it is likelier", () => {
  const task = { name: "guard", level: "sequence", labels: ["attack", "fine"], positive: "attack" };
  const meta = { task, temperature: 1, thresholds: { attack: 0.8 }, abstain_below: 0 };
  const windows = /** @type {any} */ ([{ offsets: [[0, 1]] }]);
  const said = (/** @type {number} */ p, /** @type {any} */ changes = {}) => {
    const logits = [[Float32Array.of(Math.log(p / (1 - p)), 0)]];
    return /** @type {any} */ (decide({ ...meta, ...changes }, ["x"], windows, logits));
  };
  assert.deepEqual([0.4, 0.6, 0.79, 0.81].map((p) => said(p).label), ["fine", "fine", "fine", "attack"]);
  assert.ok(Math.abs(said(0.6).score - 0.4) < 1e-6);
  assert.deepEqual([0.4, 0.6].map((p) => said(p, { thresholds: {} }).label), ["fine", "attack"]);
  assert.equal(said(0.4, { thresholds: { attack: 0.3 } }).label, "attack");
});

test("softmax does not overflow, and temperature flattens", () => {
  assert.deepEqual(softmax([1000, 0], 1), [1, 0]);
  assert.ok(softmax([2, 0], 4)[0] < softmax([2, 0], 1)[0]);
});

test("an I goes on with its type's span, begins one elsewhere, and a B always begins one", () => {
  const chars = Array.from("ab cd ef gh");
  const offsets = /** @type {[number, number][]} */ ([[0, 2], [3, 5], [5, 5], [6, 8], [9, 11]]);
  const hot = (/** @type {number[]} */ labels) => labels.map((label) => Array.from({ length: 5 }, (_, i) => (i === label ? 1 : 0)));
  const spans = (/** @type {number[]} */ labels) =>
    decodeSpans(hot(labels), offsets, chars, ["X", "Y"], { words: false, adjacentCost: 2 }).map((s) => [s.start, s.end, s.label]);
  assert.deepEqual(spans([2, 2, 0, 2, 0]), [[0, 8, "X"]]);
  assert.deepEqual(spans([1, 1, 0, 4, 4]), [[0, 2, "X"], [3, 5, "X"], [6, 11, "Y"]]);
  assert.deepEqual(spans([1, 0, 1, 2, 0]), [[0, 2, "X"], [6, 8, "X"]]);
});

test("tokens of a word agree, but not across an escape or in scripts without blanks", () => {
  const rows = [[0.1, 0.5, 0.1, 0.2, 0.1], [0.2, 0.1, 0.1, 0.5, 0.1]];
  const offsets = /** @type {[number, number][]} */ ([[0, 1], [1, 2]]);
  const [span, ...more] = decodeSpans(rows, offsets, ["a", "b"], ["X", "Y"], { words: true, adjacentCost: 0 });
  assert.deepEqual([span.start, span.end, span.label, span.score, more], [0, 2, "Y", 0.45, []]);
  assert.ok(joined(["a", "\u0301"], 1) && !joined(["東", "京"], 1) && !joined(["a", "-"], 1));
  assert.ok(!joined(Array.from("\\nS"), 2) && joined(Array.from("xnS"), 2));
});

test("a mind changed within a name is not two spans", () => {
  const rows = [[0.1, 0.45, 0, 0.4, 0.05], [0.1, 0, 0.1, 0.1, 0.7]];
  const offsets = /** @type {[number, number][]} */ ([[0, 2], [3, 5]]);
  const spans = (/** @type {number} */ adjacentCost) =>
    decodeSpans(rows, offsets, Array.from("ab cd"), ["X", "Y"], { words: true, adjacentCost }).map((s) => [s.start, s.end, s.label]);
  assert.deepEqual(spans(2), [[0, 5, "Y"]]);
  assert.deepEqual(spans(0), [[0, 2, "X"], [3, 5, "Y"]]);
});

const LONG = 130_000; // more than a call takes arguments

test("a word of very many tokens is encoded", () => {
  const tokenizer = new Tokenizer({
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    post_processor: { type: "ByteLevel", trim_offsets: true, add_prefix_space: false },
    decoder: null,
    model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [], unk_token: null },
  });
  const found = tokenizer.encode(Array.from("ab".repeat(LONG / 2)));
  assert.equal(found.ids.length, LONG);
  assert.deepEqual(found.offsets.at(-1), [LONG - 1, LONG]);
});

test("a word of very many tokens, and very many words, are decoded", () => {
  const rows = Array.from({ length: LONG }, () => [0.1, 0.8, 0.1]);
  const offsets = rows.map((_, i) => /** @type {[number, number]} */ ([i, i + 1]));
  const chars = Array(LONG).fill("a");
  assert.deepEqual(groupWords(offsets, chars), [[0, LONG]]);
  const [span, ...more] = decodeSpans(rows, offsets, chars, ["X"], { words: true, adjacentCost: 2 });
  assert.deepEqual([span.start, span.end, span.score, more], [0, LONG, 0.9, []]);
  const apart = decodeSpans(rows, offsets, chars, ["X"], { words: false, adjacentCost: 0 });
  assert.equal(apart.length, LONG);
});

test("blanks are Python's: not the zero-width ones, but the separators of files", () => {
  assert.deepEqual(trim(Array.from("\x1c\u3000a\u200b\x85"), 0, 5), [2, 4]);
});

test("what is no bundle is an error in three parts", async () => {
  await assert.rejects(load("/nowhere"), (error) => error instanceof BundleError && /got: .*\n {2}do: /s.test(error.message));
});
