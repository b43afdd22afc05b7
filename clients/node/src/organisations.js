/** Business names told from persons: `runtime/organisations.py`, in JavaScript. */

import { COMPANY_WORDS, LEGAL_FORMS } from "./known.js";
import { pattern, stripEnd } from "./patterns.js";

/** @typedef {import("./decode.js").Span} Span */

const FORMS = new Set(LEGAL_FORMS.split(" "));
const WORDS = new Set(COMPANY_WORDS.split(" "));
const TOKEN = pattern(String.raw`[^\W_](?:[\w.]*[^\W_])?\.?|&`, "g");
const TAIL = pattern(String.raw`(,?) (?=[^\W\d_])(\S+)`, "y");

/** @param {string} word */
const undotted = (word) => word.replaceAll(".", "");

/** Whether a name holds what only names of businesses hold, beside a word of its own. @param {string} text */
export function isBusiness(text) {
  const [first, ...rest] = text.match(TOKEN) ?? [];
  if (first === undefined || rest.length === 0) return false;
  return FORMS.has(undotted(rest[rest.length - 1])) || rest.some((word) => WORDS.has(word));
}

/**
 * Persons that are businesses become organisations; both take in the legal form that follows.
 *
 * @param {string} text @param {Span[]} spans @returns {Span[]}
 */
export function resolveOrganisations(text, spans) {
  return spans.map((span, i) => {
    if (span.label !== "PERSON" && span.label !== "ORGANIZATION") return span;
    const end = withForm(text, span.end, spans[i + 1]?.start ?? text.length);
    const piece = text.slice(span.start, end);
    const business = end > span.end || isBusiness(piece);
    return business ? { ...span, end, text: piece, label: "ORGANIZATION" } : span;
  });
}

/** Where a name ends with the legal forms that follow it. @param {string} text @param {number} end @param {number} limit */
function withForm(text, end, limit) {
  const shown = text.slice(0, limit);
  for (;;) {
    TAIL.lastIndex = end;
    const match = TAIL.exec(shown);
    if (match === null) return end;
    const word = stripEnd(match[2], ",;:!?)]}\"'");
    const letters = undotted(word);
    // "Harrah's Reno, NV" is a state
    if (!FORMS.has(letters) || (match[1] !== "" && letters.length < 3)) return end;
    end += match[1].length + 1 + word.length;
  }
}
