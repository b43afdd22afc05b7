// Bundles that Python made: the same tokens, labels, probabilities and spans. Without them, skipped.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { load, verify } from "../src/index.js";
import { Tokenizer } from "../src/tokenizer.js";

const BUNDLES = process.env.POINTSMAN_BUNDLES;
const TOKENS = process.env.POINTSMAN_TOKENS;
const skip = BUNDLES ? false : "POINTSMAN_BUNDLES names no bundles: pytest tests/clients makes some";
const named = (/** @type {string | undefined} */ root) =>
  root ? readdirSync(root).filter((name) => !name.endsWith("-backbone")) : [];
// bundles of random weights are blessed by nobody
const FP32 = /** @type {{precision: "fp32"}} */ ({ precision: "fp32" });
const scratch = mkdtempSync(path.join(tmpdir(), "pointsman-"));
after(() => rmSync(scratch, { recursive: true }));

/** @param {string} file @returns {any[]} */
const lines = (file) => readFileSync(file, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line));

for (const name of named(TOKENS)) {
  test(`${name}: tokens and their bounds are those of Python`, () => {
    const directory = path.join(/** @type {string} */ (TOKENS), name);
    const tokenizer = new Tokenizer(JSON.parse(readFileSync(path.join(directory, "tokenizer.json"), "utf8")));
    lines(path.join(directory, "expected.jsonl")).forEach((row, i) => {
      const found = tokenizer.encode(Array.from(row.text));
      assert.deepEqual(found, { ids: row.ids, offsets: row.offsets }, `text ${i + 1}`);
    });
  });
}

test("there are bundles to compare on", { skip }, () => assert.ok(named(BUNDLES).length > 0));

for (const name of named(BUNDLES)) {
  test(`${name}: golden answers pass`, async () => {
    const found = await verify(path.join(/** @type {string} */ (BUNDLES), name));
    assert.deepEqual(found.faults, []);
    assert.ok(found.texts === 200 && found.logits < 1e-4 && found.probabilities < 1e-4);
  });
}

/**
 * Copy a bundle with one of its JSON files changed.
 *
 * @param {string} name @param {string} file @param {(content: any) => void} change @returns {string}
 */
function changed(name, file, change) {
  const copy = mkdtempSync(path.join(scratch, "bundle-"));
  cpSync(path.join(/** @type {string} */ (BUNDLES), name), copy, { recursive: true });
  const content = JSON.parse(readFileSync(path.join(copy, file), "utf8"));
  change(content);
  writeFileSync(path.join(copy, file), JSON.stringify(content));
  return copy;
}

/**
 * Copy a bundle with changed golden answers, whose hash is renewed.
 *
 * @param {string} name @param {string} task @param {(head: any) => void} change @returns {string}
 */
function spoilt(name, task, change) {
  const copy = mkdtempSync(path.join(scratch, "bundle-"));
  cpSync(path.join(/** @type {string} */ (BUNDLES), name), copy, { recursive: true });
  const file = path.join(copy, "golden.jsonl");
  const rows = lines(file);
  change(rows);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const meta = JSON.parse(readFileSync(path.join(copy, "bundle.json"), "utf8"));
  meta.files["golden.jsonl"] = createHash("sha256").update(readFileSync(file)).digest("hex");
  writeFileSync(path.join(copy, "bundle.json"), JSON.stringify(meta));
  return copy;
}

test("a changed logit, label, probability or span fails", { skip }, async () => {
  /** @type {[string, string, (rows: any[]) => void, RegExp][]} */
  const cases = [
    ["bert-jailbreak", "jailbreak", (rows) => { rows[3].heads.jailbreak.logits[0][0] += 3e-4; }, /logits differ/],
    ["bert-jailbreak", "jailbreak", (rows) => { rows[3].heads.jailbreak.label = "other"; }, /text 4, jailbreak: label/],
    ["bert-jailbreak", "jailbreak", (rows) => { rows[3].heads.jailbreak.probabilities[0] += 1e-3; }, /probabilities differ/],
    ["bert-shared", "pii", (rows) => { rows.find((r) => r.heads.pii.unprocessed.length).heads.pii.unprocessed[0][0] += 1; }, /other spans before post-processing/],
    ["modernbert-pii", "pii", (rows) => { const { pii } = rows.find(({ heads }) => String(heads.pii.spans) !== String(heads.pii.unprocessed)).heads; pii.spans = pii.unprocessed; }, /other spans$/],
    ["bert-shared", "pii", (rows) => { rows[5].windows[0][2] = "0".repeat(16); }, /text 6: other windows/],
  ];
  for (const [name, task, change, fault] of cases) {
    const found = await verify(spoilt(name, task, change));
    assert.match(found.faults.join("\n"), fault);
  }
});

test("a changed or truncated file is refused", { skip }, async () => {
  for (const file of ["golden.jsonl", "tokenizer.json", "export/onnx-fp32/model.onnx"]) {
    const copy = spoilt("bert-jailbreak", "jailbreak", () => {});
    const whole = readFileSync(path.join(copy, file));
    writeFileSync(path.join(copy, file), whole.subarray(0, whole.length - 10));
    await assert.rejects(verify(copy), /a changed file/);
  }
});

test("what is not blessed answers only where its precision is asked for", { skip }, async () => {
  const list = "export/export.json";
  const kept = changed("bert-jailbreak", list, () => {});
  await assert.rejects(load(kept), /that is blessed\n {2}got: one kept by force/);
  await load(kept, FP32);
  await load(changed("bert-jailbreak", list, ([entry]) => { entry.blessed = true; }));
});

test("labels that are not the task's are refused, of every head", { skip }, async () => {
  const turn = (/** @type {any} */ head) => head.labels.reverse();
  for (const copy of [
    changed("bert-jailbreak", "bundle.json", turn),
    changed("bert-shared", "bundle.json", (meta) => turn(meta.heads.category)),
    changed("bert-shared", "bundle.json", (meta) => turn(meta.heads.pii)),
    changed("bert-shared", "bundle.json", (meta) => turn(meta.heads.jailbreak.task)),
    changed("bert-jailbreak", "bundle.json", (meta) => { turn(meta); turn(meta.task); }),
  ]) {
    await assert.rejects(load(copy, FP32), /other labels, or another order/);
  }
});

test("predictions come by head, in order, whatever the batch", { skip }, async () => {
  const model = await load(path.join(/** @type {string} */ (BUNDLES), "bert-shared"), FP32);
  const texts = ["Contact Sarah Johnson 👍 at sarah.j@example.org", "x", "word ".repeat(700)];
  const together = await model.predict(texts);
  for (const [i, text] of texts.entries()) {
    const [alone] = await model.predict([text], { heads: ["pii"] });
    const plain = (/** @type {any} */ p) => p.pii.spans.map((/** @type {any} */ s) => [s.start, s.end, s.label, s.text]);
    assert.deepEqual(plain(alone), plain(together[i]));
    for (const span of /** @type {any} */ (alone.pii).spans) {
      assert.equal(Array.from(text).slice(span.start, span.end).join(""), span.text);
    }
  }
  const { steps, unprocessed } = /** @type {any} */ (together[0].pii);
  assert.deepEqual(steps, ["values", "drop", "organisations", "merge"]);
  const plain = await load(path.join(/** @type {string} */ (BUNDLES), "bert-shared"), { ...FP32, postprocess: false });
  const [{ pii }] = /** @type {any} */ (await plain.predict(texts.slice(0, 1)));
  assert.deepEqual([pii.spans, pii.steps, pii.unprocessed], [unprocessed, [], null]);
  assert.deepEqual(Object.keys(together[0]), ["pii", "jailbreak", "category"]);
});

test("what no model can read is refused, and not quoted", { skip }, async () => {
  const model = await load(path.join(/** @type {string} */ (BUNDLES), "bert-jailbreak"), FP32);
  for (const text of [" \n\u3000", "secret\0", "secret\ud800", 7, "a".repeat(1_000_001)]) {
    await assert.rejects(model.predict(["fine", /** @type {any} */ (text)]), (error) => {
      const { message } = /** @type {Error} */ (error);
      return message.startsWith("text 2") && !message.includes("secret");
    });
  }
  await assert.rejects(model.predict(/** @type {any} */ ("one")), /an array of texts/);
  await assert.rejects(model.predict(["x"], { heads: ["pii"] }), /a head of jailbreak/);
});
