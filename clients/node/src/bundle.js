/** A bundle's directory: what it says of itself, and its ONNX graph, checked against their hashes. */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

/** @typedef {Record<string, any>} Json */
/**
 * @typedef {object} Bundle
 * @property {string} path
 * @property {Record<string, Json>} heads What each head says of itself, in the order of the outputs.
 * @property {number} maxLength
 * @property {number} padId
 * @property {Record<string, string>} files SHA-256 of each file.
 * @property {string} graph The ONNX file.
 * @property {Record<string, string>} outputs Name of the graph's output of each head.
 */

const FORMATS = [1, 2];

/** An error in three parts: what was needed, what came, what to do. */
export class BundleError extends Error {
  /** @param {string} needed @param {unknown} got @param {string} fix */
  constructor(needed, got, fix) {
    super(`${needed}\n  got: ${got}\n  do:  ${fix}`);
    this.name = "BundleError";
  }
}

/** @param {string} file @returns {any} */
export function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const code = /** @type {any} */ (error).code ?? "no valid JSON";
    throw new BundleError(`${file}: a readable file`, code, "copy the bundle again");
  }
}

/** @param {string} file @param {string | undefined} expected */
export function checkHash(file, expected) {
  const name = path.basename(file);
  if (!existsSync(file)) throw new BundleError(`${file}: its file`, "missing", "copy the bundle again");
  const found = createHash("sha256").update(readFileSync(file)).digest("hex");
  if (found !== expected) {
    throw new BundleError(`${file}: ${name} as it was packed`, "a changed file", "copy the bundle again");
  }
}

/**
 * Read a bundle.
 *
 * @param {string} directory
 * @param {string} [precision] Of the ONNX export, fp32 or int8, blessed or not; without one the
 *   blessed fp32 export is taken.
 * @returns {Bundle}
 */
export function readBundle(directory, precision) {
  const meta = readJson(path.join(directory, "bundle.json"));
  if (!FORMATS.includes(meta.format)) {
    throw new BundleError(
      `${directory}: a bundle of format ${FORMATS.join(" or ")}`, meta.format, "update this package",
    );
  }
  for (const name of ["config.json", "tokenizer.json"]) {
    checkHash(path.join(directory, name), meta.files[name]);
  }
  const config = readJson(path.join(directory, "config.json"));
  /** @type {Record<string, Json>} */
  const heads = meta.format === 1 ? { [meta.task.name]: meta } : meta.heads;
  for (const head of Object.values(heads)) checkLabels(directory, head, labelsOf(head.task));
  if (meta.format === 1) {
    // the heads of a shared bundle have no labels in config.json
    checkLabels(directory, meta, meta.labels.map((/** @type {string} */ _, /** @type {number} */ i) => config.id2label?.[i]));
  }
  return {
    path: directory,
    heads,
    maxLength: meta.max_length,
    padId: config.pad_token_id ?? 0,
    files: meta.files,
    ...findGraph(directory, meta, precision),
  };
}

/** Labels of a network's outputs for a task, in index order. @param {Json} task @returns {string[]} */
function labelsOf(task) {
  if (task.level !== "token") return task.labels;
  return ["O", ...task.labels.flatMap((/** @type {string} */ type) => [`B-${type}`, `I-${type}`])];
}

/** @param {string} directory @param {Json} head @param {string[]} wanted */
function checkLabels(directory, head, wanted) {
  if (JSON.stringify(head.labels) !== JSON.stringify(wanted)) {
    throw new BundleError(
      `${directory}: the labels of ${head.task.name} and of its network in bundle.json`,
      "other labels, or another order", "copy the bundle again",
    );
  }
}

/** @param {string} directory @param {Json} meta @param {string} [asked] */
function findGraph(directory, meta, asked) {
  const precision = asked ?? "fp32";
  const index = path.join(directory, "export", "export.json");
  const entries = existsSync(index) ? readJson(index) : [];
  const entry = entries.find((/** @type {Json} */ e) => e.target === "onnx" && e.precision === precision);
  if (!entry) {
    throw new BundleError(
      `${directory}: an ONNX export in ${precision}`,
      entries.map((/** @type {Json} */ e) => `${e.target} ${e.precision}`).join(", ") || "no exports",
      `pointsman export ${directory} --to onnx`,
    );
  }
  // A blessing in fp32 holds whatever the thresholds: the logits were those of torch. So only what is
  // asked for by its name has to be trusted by who asks.
  if (asked === undefined && entry.blessed !== true) {
    throw new BundleError(
      `${directory}: an ONNX export in ${precision} that is blessed`, "one kept by force",
      `export it again, or ask for it by its name: { precision: "${precision}" }`,
    );
  }
  if (entry.weights !== undefined && entry.weights !== meta.files["model.safetensors"]) {
    throw new BundleError(`${directory}: an export of its weights`, "one of others", "export it again");
  }
  for (const [name, hash] of Object.entries(entry.files)) checkHash(path.join(directory, name), hash);
  return {
    graph: path.join(directory, "export", `onnx-${precision}`, "model.onnx"),
    outputs: /** @type {Record<string, string>} */ (entry.outputs),
  };
}
