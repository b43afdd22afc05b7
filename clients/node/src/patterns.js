/**
 * Regular expressions of Python in JavaScript, whose `\w`, `\d` and `\b` know ASCII alone.
 *
 * Patterns stand here as they stand in the Python package, so that the two can be read side by side.
 */

/** What Python's classes hold, as members of a class of JavaScript. @type {Record<string, string>} */
const MEMBERS = { "\\w": "\\p{L}\\p{N}_", "\\d": "\\p{Nd}" };
/** What they are where they stand alone; the first that fits is taken. @type {[string, string][]} */
const WHOLE = [
  ["[^\\W\\d_]", "[\\p{L}\\p{Nl}\\p{No}]"],
  ["[^\\W_]", "[\\p{L}\\p{N}]"],
  ["[\\W_]", "[^\\p{L}\\p{N}]"],
  ["\\w", "[\\p{L}\\p{N}_]"],
  ["\\d", "\\p{Nd}"],
  ["\\b", "(?:(?<=[\\p{L}\\p{N}_])(?![\\p{L}\\p{N}_])|(?<![\\p{L}\\p{N}_])(?=[\\p{L}\\p{N}_]))"],
  ["\\S", "[^\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"],
];

/**
 * Return a pattern of Python's as one of JavaScript's.
 *
 * @param {string} source In which `.` stands for any character, a line break too.
 * @param {string} [flags] `g` to find all, `y` to match at `lastIndex`. @returns {RegExp}
 */
export function pattern(source, flags = "") {
  let out = "";
  let inside = false;
  for (let at = 0; at < source.length; ) {
    const whole = inside ? undefined : WHOLE.find(([python]) => source.startsWith(python, at));
    const pair = source.slice(at, at + 2);
    if (whole) {
      out += whole[1];
      at += whole[0].length;
    } else if (source[at] === "\\") {
      out += (inside && MEMBERS[pair]) || pair;
      at += 2;
    } else {
      if (source[at] === "[") inside = true;
      if (source[at] === "]") inside = false;
      out += source[at];
      at += 1;
    }
  }
  return new RegExp(out, `su${flags}`);
}

/** A pattern that has to match from end to end. @param {string} source @returns {(text: string) => boolean} */
export function whole(source) {
  const made = pattern(`^(?:${source})$`);
  return (text) => made.test(text);
}

/** Letters in either case, also those that Python folds into ASCII. @param {string} letters */
export const anyCase = (letters) =>
  Array.from(letters, (letter) => `[${letter}${letter.toUpperCase()}${FOLDED[letter] ?? ""}]`).join("");
/** @type {Record<string, string>} */
const FOLDED = { i: "\u0130\u0131", k: "\u212a", s: "\u017f" };
export const ANY_LETTER = "[a-zA-Z\u0130\u0131\u017f\u212a]";

/** @param {string} text @param {string} marks A text without those of `marks` at its start. */
export function stripStart(text, marks) {
  let start = 0;
  while (start < text.length && marks.includes(text[start])) start += 1;
  return text.slice(start);
}

/** @param {string} text @param {string} marks A text without those of `marks` at its end. */
export function stripEnd(text, marks) {
  let end = text.length;
  while (end > 0 && marks.includes(text[end - 1])) end -= 1;
  return text.slice(0, end);
}
