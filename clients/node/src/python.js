/**
 * What Python and Rust say of characters, where JavaScript says otherwise.
 *
 * Texts are handled as arrays of code points (one string each), which is what offsets count.
 */

/** Blanks of Python's `str.isspace`. */
const BLANK = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/u;
/** Letters and digits of any script, and the marks on them. */
const WORDY = /^[\p{L}\p{N}\p{M}]$/u;

/** @param {string} char @returns {boolean} */
export const isBlank = (char) => BLANK.test(char);

/** @param {string} char @returns {boolean} */
export const isWordy = (char) => WORDY.test(char);

/**
 * Bounds without the blanks at both ends; blank bounds become empty ones.
 *
 * @param {string[]} chars @param {number} start @param {number} end @returns {[number, number]}
 */
export function trim(chars, start, end) {
  while (start < end && isBlank(chars[start])) start += 1;
  while (end > start && isBlank(chars[end - 1])) end -= 1;
  return [start, end];
}
