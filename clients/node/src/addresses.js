/** A street address that a model cut in pieces: `runtime/addresses.py`, in JavaScript. */

import { replaceSpans, touching } from "./overlap.js";
import { pattern, stripEnd, whole } from "./patterns.js";

/** @typedef {import("./decode.js").Span} Span */

const STREET = "STREET_ADDRESS";
const PARTS = new Set([STREET, "GPE", "ZIP_CODE"]);
const { raw } = String;
const isGap = whole(raw`[-'’]?|, ?|\n|\\n`);
const BLANKS = " \t\n\r\x0b\x0c\xa0";
const WHOLE = pattern(
  raw`(?<![\w-])(?:\d{1,6} ){1,2}[^\W\d_][^\n,;:|\\]{2,48}(?:, ?|\n|\\n)` +
    raw`[^\W\d_][^\n,\d;:|\\]{1,40}, [A-Z]{2} \d{5}(?:-\d{4})?(?![\w-])`,
  "g",
);

/** @param {string} text */
const hasLetter = (text) => /\p{L}/u.test(text);
/** @param {string} text */
const hasWord = (text) => /[\p{L}\p{N}]/u.test(text);

/**
 * Spans in which the pieces of one street address are one span.
 *
 * @param {string} text @param {Span[]} spans Sorted, disjoint. @returns {Span[]}
 */
export function mergeAddresses(text, spans) {
  if (!spans.some((span) => span.label === STREET)) return spans;
  return joinPieces(text, takeWhole(text, spans)).map(trimmed);
}

/** @param {string} text @param {Span[]} spans @returns {Span[]} */
function takeWhole(text, spans) {
  const given = [];
  for (const match of text.matchAll(WHOLE)) {
    const [start, end] = [match.index, match.index + match[0].length];
    const takes = touching(spans, start, end);
    const touched = takes.map((index) => spans[index]);
    if (areParts(text, touched, start, end)) given.push({ start, end, label: STREET, takes });
  }
  return replaceSpans(text, spans, given);
}

/** @param {string} text @param {Span[]} touched @param {number} start @param {number} end */
function areParts(text, touched, start, end) {
  if (!touched.some((span) => span.label === STREET)) return false;
  // "Type 2 Diabetes. Located at 12 Main St, ..." also reads as a number, a street and a town
  const numberAlone = !hasLetter(text.slice(start, Math.max(start, touched[0].start)));
  return numberAlone && touched.every((span) => within(span, start, end));
}

/** Whether a span is a part of an address and holds no word beyond it. @param {Span} span @param {number} start @param {number} end */
function within(span, start, end) {
  const before = span.text.slice(0, Math.max(0, start - span.start));
  const after = span.text.slice(Math.max(0, end - span.start));
  return PARTS.has(span.label) && !hasWord(before + after);
}

/** @param {string} text @param {Span[]} spans @returns {Span[]} */
function joinPieces(text, spans) {
  /** @type {Span[]} */
  const joined = [];
  for (const span of spans) {
    const last = joined[joined.length - 1];
    const goesOn =
      last?.label === STREET && span.label === STREET && isGap(text.slice(last.end, span.start));
    if (!goesOn) {
      joined.push(span);
      continue;
    }
    joined[joined.length - 1] = {
      ...last,
      end: span.end,
      text: text.slice(last.start, span.end),
      score: Math.max(last.score, span.score),
    };
  }
  return joined;
}

/** @param {Span} span @returns {Span} */
function trimmed(span) {
  if (span.label !== STREET) return span;
  // "Árpád fejedelem útja 89." keeps its full stop; an address with a town after a comma has none
  const marks = stripEnd(span.text, `,.${BLANKS}`).includes(",") ? ",." : ",";
  const piece = stripEnd(span.text, marks + BLANKS);
  return piece === "" ? span : { ...span, end: span.start + piece.length, text: piece };
}
