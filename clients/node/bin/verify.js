#!/usr/bin/env node
/** pointsman-verify BUNDLE...: replays golden answers; ends with 1 if any differs. */

import { verify } from "../src/index.js";

const directories = process.argv.slice(2);
if (directories.length === 0) {
  console.error("usage: pointsman-verify BUNDLE...");
  process.exit(2);
}
for (const directory of directories) {
  try {
    const found = await verify(directory);
    console.log(JSON.stringify({ bundle: directory, passed: found.faults.length === 0, ...found }));
    if (found.faults.length > 0) process.exitCode = 1;
  } catch (error) {
    console.error(`error: ${/** @type {Error} */ (error).message}`);
    process.exitCode = 1;
  }
}
