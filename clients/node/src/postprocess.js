/**
 * What is known of values and names without a model: `runtime/postprocess.py`, in JavaScript.
 *
 * docs/reference/decoding.md has the rules. Within the steps spans count UTF-16 units, as strings
 * and regular expressions do here; outside they count code points.
 */

import { mergeAddresses } from "./addresses.js";
import { resolveOrganisations } from "./organisations.js";
import { replaceSpans, touching } from "./overlap.js";
import { stripEnd, stripStart } from "./patterns.js";
import { accepts, findValues, possible, STRUCTURED } from "./validators.js";

/** @typedef {import("./decode.js").Span} Span */
/** @typedef {"values" | "drop" | "organisations" | "merge"} StepName */
/** @typedef {{name: StepName, run: (text: string, spans: Span[]) => Span[]}} Step */

const AROUND = " \t\n.,;:!?-\"'<>[]{}="; // no value begins or ends with these
const MOST_ROUNDS = 8; // steps that change nothing end the rounds; two are the rule

/**
 * The steps that are on and have something to do for a task of these labels.
 *
 * @param {string[]} labels @param {Partial<Record<StepName, boolean>>} options @returns {Step[]}
 */
export function stepsFor(labels, options) {
  const known = new Set(labels);
  const structured = new Set(labels.filter((label) => STRUCTURED.has(label)));
  /** @type {[StepName, boolean, Step["run"]][]} */
  const steps = [
    ["values", structured.size > 0, (text, spans) => correctValues(text, spans, structured)],
    ["drop", structured.size > 0, (_, spans) => dropImpossible(spans)],
    ["organisations", known.has("PERSON") && known.has("ORGANIZATION"), resolveOrganisations],
    ["merge", known.has("STREET_ADDRESS"), mergeAddresses],
  ];
  return steps.flatMap(([name, applies, run]) => (options[name] && applies ? [{ name, run }] : []));
}

/**
 * The spans after every step, sorted and disjoint.
 *
 * @param {string[]} chars @param {Span[]} spans Sorted, disjoint. @param {Step[]} steps @returns {Span[]}
 */
export function postprocess(chars, spans, steps) {
  if (spans.length === 0 || steps.length === 0) return spans;
  const text = chars.join("");
  const places = unitsOf(chars);
  let current = spans.map((s) => ({ ...s, start: places[s.start], end: places[s.end] }));
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const before = JSON.stringify(current);
    for (const { run } of steps) current = run(text, current);
    if (JSON.stringify(current) === before) break;
  }
  return current.map((s) => ({ ...s, start: pointAt(places, s.start), end: pointAt(places, s.end) }));
}

/** Where each code point begins, and the text ends, in UTF-16 units. @param {string[]} chars @returns {Uint32Array} */
function unitsOf(chars) {
  const places = new Uint32Array(chars.length + 1);
  chars.forEach((char, i) => {
    places[i + 1] = places[i] + char.length;
  });
  return places;
}

/** The code point that begins at a unit. @param {Uint32Array} places @param {number} unit @returns {number} */
function pointAt(places, unit) {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] < unit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {string} text @param {Span[]} spans @param {Set<string>} labels @returns {Span[]} */
function correctValues(text, spans, labels) {
  const given = [];
  for (const value of findValues(text, labels)) {
    const takes = touching(spans, value.start, value.end);
    if (takes.length > 0 && claims(value, takes.map((index) => spans[index]))) {
      given.push({ start: value.start, end: value.end, label: value.label, takes });
    }
  }
  return replaceSpans(text, spans, given).map(trimmed);
}

/** Whether a value takes the place of the spans that it touches. @param {import("./validators.js").Value} value @param {Span[]} touched */
function claims(value, touched) {
  const structured = touched.filter((span) => STRUCTURED.has(span.label));
  const others = touched.filter((span) => !STRUCTURED.has(span.label));
  if (others.some((span) => span.start < value.start || value.end < span.end)) return false;
  const right = structured.filter((span) => accepts(span.label, span.text));
  if (!value.sure) return structured.length > 0 && right.length === 0;
  return !right.some((span) => span.start <= value.start && value.end <= span.end);
}

/** Take the punctuation around a value away, where it is a value without it. @param {Span} span @returns {Span} */
function trimmed(span) {
  if (!STRUCTURED.has(span.label) || accepts(span.label, span.text)) return span;
  const tail = stripStart(span.text, AROUND);
  const piece = stripEnd(tail, AROUND);
  if (piece === "" || !accepts(span.label, piece)) return span;
  const start = span.end - tail.length;
  return { ...span, start, end: start + piece.length, text: piece };
}

/** @param {Span[]} spans @returns {Span[]} */
const dropImpossible = (spans) =>
  spans.filter((span) => /[\p{L}\p{N}]/u.test(span.text) && possible(span.label, span.text));
