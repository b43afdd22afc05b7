/** What a structured value looks like: `runtime/validators.py`, in JavaScript. */

import { isIP } from "node:net";
import { parsePhoneNumberWithError } from "libphonenumber-js/min";
import { IBANS } from "./known.js";
import { ANY_LETTER, anyCase, pattern, stripEnd, whole } from "./patterns.js";

/** @typedef {{start: number, end: number, label: string, sure: boolean}} Value */

const { raw } = String;
const HOST = raw`(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}`;
const EMAIL = raw`(?<![\w.%+-])[\w%+-]+(?:\.[\w%+-]+){0,8}(?:@|(?<=\w)%40)${HOST}(?![\w-])`;
const WWW = `${anyCase("www")}${raw`\.`}`;
const URL = raw`(?<!\w)(?:${anyCase("http")}${anyCase("s")}?://(?:${WWW})?|${WWW})${HOST}/?(?![\w/?#:@%-])`;
const DOMAIN = raw`(?:${ANY_LETTER}+://)?${HOST}(?:[:/].*)?`;
const IBAN = raw`(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{10,30}|(?: [A-Z0-9]{4}){2,7}(?: \w{1,3})?)\b`;
const CARD = raw`(?<![\w+-])\d(?:[ -]?\d){11,18}(?![\w-])`;
const SSN = raw`(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])`;
const NINE = raw`\d{3}([ -]?)\d{2}\1\d{4}`;
const IP = raw`(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40})(?!\w)`;
const PLUS = raw`(?<![\w+])\+(?:[ \xa0()./-]{0,2}\d){7,15}(?![\w-])`;
const PHONE = raw`(?:\+|00)?[(\d][\d ()./\xa0-]{4,24}\d(?: ?(?:x|ext\.? ?)\d{1,6})?`;
const endsInDigit = whole(raw`.*\d`);
const ESCAPE = /\\[nrt]/g; // a line break as exports hold it, which is no letter of a value

/** @param {string} text @returns {boolean} */
function luhn(text) {
  const digits = text.replace(/[ -]/g, "");
  if (!/^[0-9]+$/.test(digits)) return false;
  const sum = Array.from(digits).reverse().reduce((total, digit, i) => {
    const value = Number(digit) * (1 + (i % 2));
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

/** @type {Record<string, string>} */
const KINDS = { n: "[0-9]", a: "[A-Z]", c: "[A-Z0-9]" };
/** What follows the check digits, by country. @type {Map<string, RegExp>} */
const BBAN = new Map(
  IBANS.split(" ").map((form) => {
    const parts = form.slice(2).replace(/([0-9]+)([nac])/g, (_, size, kind) => `${KINDS[kind]}{${size}}`);
    return [form.slice(0, 2), new RegExp(`^${parts}$`)];
  }),
);

/** ISO 7064's 97-10, and the form that the country gives its numbers. @param {string} text @returns {boolean} */
function iban(text) {
  const number = text.replace(/[ .-]/g, "").toUpperCase();
  if (!/^[A-Z]{2}[A-Z0-9]+$/.test(number)) return false;
  const moved = number.slice(4) + number.slice(0, 4);
  const digits = Array.from(moved, (char) => Number.parseInt(char, 36)).join("");
  if (BigInt(digits) % 97n !== 1n) return false;
  return BBAN.get(number.slice(0, 2))?.test(number.slice(4)) ?? false;
}

const UNUSED_SSN = ["078-05-1120", "457-55-5462", "219-09-9999"];
/** @param {string} text @returns {boolean} */
const ssn = (text) =>
  /^(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}$/.test(text) && !UNUSED_SSN.includes(text);

/** @param {string} text @returns {boolean} */
function ip(text) {
  const [address, ...zones] = text.split("%");
  const zoned = zones.length === 0 || (zones.length === 1 && zones[0] !== "" && isIP(address) === 6);
  return zoned && isIP(address) > 0 && !text.includes("/");
}

/** @param {string} text @returns {boolean} */
function international(text) {
  try {
    return parsePhoneNumberWithError(text, { extract: false }).isPossible();
  } catch {
    return false; // of no country, or of no number's length
  }
}

const [isPhone, isSsn] = [whole(PHONE), whole(SSN)];
const DIGIT = pattern(raw`\d`, "g");
/** @param {string} text @param {string} char */
const count = (text, char) => text.split(char).length - 1;
/** @param {string} text @returns {boolean} */
function phone(text) {
  const number = text.split(/[xe]/)[0];
  const digits = number.match(DIGIT)?.length ?? 0;
  const balanced = count(number, "(") === count(number, ")");
  return isPhone(text) && digits >= 6 && digits <= 15 && balanced && !isSsn(text) && !ip(text);
}

/** The mildest question, by type: could it be one at all? @type {Map<string, (text: string) => boolean>} */
const ACCEPTS = new Map([
  ["EMAIL_ADDRESS", whole(EMAIL)],
  ["DOMAIN_NAME", whole(DOMAIN)],
  ["IP_ADDRESS", ip],
  ["IBAN_CODE", whole(IBAN)],
  ["CREDIT_CARD", whole(CARD)],
  ["US_SSN", whole(NINE)],
  ["PHONE_NUMBER", phone],
  ["ZIP_CODE", endsInDigit],
  ["US_DRIVER_LICENSE", endsInDigit],
]);
export const STRUCTURED = new Set(ACCEPTS.keys());

const DOT = raw`\b${anyCase("dot")}\b`;
/** What is refuted by its look alone. @type {Map<string, (text: string) => boolean>} */
const POSSIBLE = new Map([
  ["EMAIL_ADDRESS", whole(raw`.*(@|%40|\b${anyCase("at")}\b|${DOT}).*`)],
  ["DOMAIN_NAME", whole(raw`.*(\w[.]\w|//|${DOT}).*`)],
  ["IP_ADDRESS", whole(raw`(?=.*[.:].*[.:])[\dA-Fa-fxX.:*/%\[\]-]+`)],
  ["IBAN_CODE", whole(raw`(?=.*[^\W\d_])(?=.*\d)(?:[\W_]*[^\W_]){8,}[\W_]*`)],
  ["CREDIT_CARD", whole(raw`(?=(?:.*\d){4}).{12,}`)],
  ["US_SSN", whole(raw`(?=(?:.*\d){4}).{4,13}`)],
  ["PHONE_NUMBER", whole(raw`(?=(?:.*\d){3})(?:[\W_]*[^\W_]){6,}[\W_]*`)],
  ["ZIP_CODE", whole(raw`(?=.*\d)(?:[\W_]*[^\W_]){3,}[\W_]*`)],
  ["US_DRIVER_LICENSE", whole(raw`(?=(?:.*\d){2})(?:[\W_]*[^\W_]){4,}[\W_]*`)],
]);

const always = () => true;
/** Where values stand, in the order in which they claim their place. @type {[string, RegExp, (text: string) => boolean][]} */
const FINDERS = [
  ["EMAIL_ADDRESS", pattern(EMAIL, "g"), always],
  ["IBAN_CODE", pattern(IBAN, "g"), iban],
  ["PHONE_NUMBER", pattern(PLUS, "g"), international],
  ["CREDIT_CARD", pattern(CARD, "g"), luhn],
  ["IP_ADDRESS", pattern(IP, "g"), ip],
  ["US_SSN", pattern(SSN, "g"), ssn],
  ["DOMAIN_NAME", pattern(URL, "g"), always],
];

/** Whether a text could be a value of a type, whatever its checksum. @param {string} label @param {string} text */
export const accepts = (label, text) => ACCEPTS.get(label)?.(text) ?? true;

/** Whether a text may stand for a value of a type, masked or mistyped. @param {string} label @param {string} text */
export const possible = (label, text) => POSSIBLE.get(label)?.(text) ?? true;

/**
 * Return the structured values of a text, sorted and disjoint, in UTF-16 units.
 *
 * @param {string} text @param {Set<string>} labels The types to look for. @returns {Value[]}
 */
export function findValues(text, labels) {
  /** @type {Value[]} */
  const found = [];
  const taken = new Uint8Array(text.length);
  const shown = text.replace(ESCAPE, "\n\n"); // as long as the text: bounds hold in both
  for (const [label, form, check] of FINDERS) {
    if (!labels.has(label)) continue;
    for (const match of shown.matchAll(form)) {
      const start = match.index;
      // a sentence's full stop or a colon before the next word is no part of an address
      const end = start + stripEnd(match[0], ".:").length;
      const piece = text.slice(start, end);
      if (end === start || taken.subarray(start, end).includes(1) || !accepts(label, piece)) continue;
      found.push({ start, end, label, sure: check(piece) });
      taken.fill(1, start, end);
    }
  }
  return found.sort((a, b) => a.start - b.start);
}
