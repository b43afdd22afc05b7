/** Which spans share characters with a place in the text, and what becomes of them. */

/** @typedef {import("./decode.js").Span} Span */
/** @typedef {{start: number, end: number, label: string, takes: number[]}} Given A new span, and the indices of those whose place it takes. */

/** The first place from which on something holds. @param {Span[]} spans @param {(span: Span) => boolean} holds */
function firstWhere(spans, holds) {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(spans[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Indices of the spans that share a character with `start` to `end`.
 *
 * @param {Span[]} spans Sorted, disjoint. @param {number} start @param {number} end @returns {number[]}
 */
export function touching(spans, start, end) {
  const first = firstWhere(spans, (span) => span.end > start);
  const last = firstWhere(spans, (span) => span.start >= end);
  return Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
}

/**
 * Spans of which some gave way to others; a new one has the score of the surest whose place it takes.
 *
 * @param {string} text @param {Span[]} spans @param {Given[]} given @returns {Span[]}
 */
export function replaceSpans(text, spans, given) {
  const gone = new Set(given.flatMap((one) => one.takes));
  const left = spans.filter((_, index) => !gone.has(index));
  for (const { start, end, label, takes } of given) {
    const score = takes.reduce((best, index) => Math.max(best, spans[index].score), 0);
    left.push({ start, end, label, text: text.slice(start, end), score });
  }
  return left.sort((a, b) => a.start - b.start);
}
