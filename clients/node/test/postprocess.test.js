// Post-processing: what Python makes of the same spans, and what needs no Python.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pattern, whole } from "../src/patterns.js";
import { postprocess, stepsFor } from "../src/postprocess.js";

const ALL = { values: true, drop: true, organisations: true, merge: true };
const SPANS = process.env.POINTSMAN_SPANS;

test("spans come out of every step as they do in Python", { skip: SPANS ? false : "no spans of Python's" }, () => {
  const { labels, rows } = JSON.parse(readFileSync(/** @type {string} */ (SPANS), "utf8"));
  const steps = stepsFor(labels, ALL);
  rows.forEach((/** @type {any} */ row, /** @type {number} */ i) => {
    const chars = Array.from(row.text);
    const spans = row.spans.map((/** @type {any[]} */ [start, end, label, score]) => ({
      start, end, label, score, text: chars.slice(start, end).join(""),
    }));
    const found = postprocess(chars, spans, steps);
    assert.deepEqual(found.map((s) => [s.start, s.end, s.label, s.score]), row.expected, `row ${i + 1}`);
    for (const span of found) assert.equal(span.text, chars.slice(span.start, span.end).join(""));
  });
});

test("steps are those that are on and concern the task's types", () => {
  const names = (/** @type {string[]} */ labels, /** @type {any} */ options) =>
    stepsFor(labels, options).map(({ name }) => name);
  assert.deepEqual(names(["PERSON", "ORGANIZATION", "STREET_ADDRESS", "IP_ADDRESS"], ALL), Object.keys(ALL));
  assert.deepEqual(names(["PERSON", "ZIP_CODE"], ALL), ["values", "drop"]);
  assert.deepEqual(names(["PERSON", "DATE_TIME"], ALL), []);
  assert.deepEqual(names(["ZIP_CODE"], { drop: true }), ["drop"]);
});

test("classes hold what Python's hold", () => {
  assert.ok(whole("\\w+")("é_٣") && !whole("\\w")("\u0301") && whole("[\\d.]+")("٣.1") && !whole("\\d")("²"));
  assert.ok(whole("[^\\W\\d_]+")("aж東") && !whole("[^\\W_]")("_") && whole("[\\W_]+")("_-"));
  assert.deepEqual("né à".match(pattern("\\b\\w+\\b", "g")), ["né", "à"]);
});
