// Compiled by `npm run types`, never run: that the types say what a user of them needs.
import { load, verify, BundleError, type TokenPrediction, type Verified } from "../index.js";

const model = await load("runs/pii/bundle", { precision: "fp32", threads: 2, postprocess: true });
const [first] = await model.predict(["Contact Sarah Johnson"], { heads: ["pii"] });
for (const span of (first.pii as TokenPrediction).spans) console.log(span.start, span.label);
const { steps, unprocessed } = first.pii as TokenPrediction;
if (steps.includes("merge")) console.log(unprocessed?.[0].start);
if ("label" in first.jailbreak) console.log(first.jailbreak.probabilities["benign"]);
const found: Verified = await verify("runs/pii/bundle");
if (found.faults.length > 0) throw new BundleError(found.faults[0]);
