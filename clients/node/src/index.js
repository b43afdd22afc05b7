export { BundleError } from "./bundle.js";
export { Classifier, load } from "./client.js";
export { verify } from "./golden.js";
