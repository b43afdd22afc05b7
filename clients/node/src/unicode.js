/** Kinds of characters as the Rust library `tokenizers` has them, whatever Unicode Node.js has. */

import { CHINESE, CONTROL, LETTER, MARK, NUMBER, PUNCTUATION } from "./tables.js";

const WHITE = /^[\t-\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/u;

/** @param {string} table @returns {(char: string) => boolean} */
function among(table) {
  const bounds = table.split(" ").map((range) => range.split("-").map((hex) => Number.parseInt(hex, 16)));
  const starts = bounds.map(([start]) => start);
  const ends = bounds.map((range) => range[range.length - 1]);
  return (char) => {
    const code = /** @type {number} */ (char.codePointAt(0));
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle] < code) low = middle + 1;
      else high = middle;
    }
    return low < starts.length && starts[low] <= code;
  };
}

/** @param {string} char */
export const isWhite = (char) => WHITE.test(char);
/** What BERT's clean-up drops: controls, formats and the like, and U+FFFD. */
export const isControl = among(CONTROL);
/** Marks without a width of their own. */
export const isMark = among(MARK);
export const isChinese = among(CHINESE);
export const isPunctuation = among(PUNCTUATION);
export const isLetter = among(LETTER);
export const isNumber = among(NUMBER);
