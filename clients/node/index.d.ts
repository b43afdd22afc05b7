/** A span that a model found; `start` and `end` count Unicode code points, as Python does. */
export interface Span {
  start: number;
  end: number;
  label: string;
  text: string;
  /** Mean probability of its tokens' labels. */
  score: number;
}

/** What a sequence task says of a text. */
export interface SequencePrediction {
  task: string;
  label: string;
  /** Probability of the label. */
  score: number;
  /** Probability of every label. */
  probabilities: Record<string, number>;
  /** Tools that the label stands for, where the task names any. */
  tools: string[];
  /** Whether the score is below the bundle's abstain threshold. */
  unsure: boolean;
}

/** A step of post-processing; docs/reference/decoding.md has the rules of each. */
export type PostStep = "values" | "drop" | "organisations" | "merge";

/** What a token task says of a text. */
export interface TokenPrediction {
  task: string;
  /** Score of the surest span, or 0. */
  score: number;
  /** After the steps below, thresholds applied. */
  spans: Span[];
  /** The steps of post-processing that these spans went through, in order; none if there are none. */
  steps: PostStep[];
  /** The spans from before post-processing, thresholds applied; null where no step applies. */
  unprocessed: Span[] | null;
}

export type Prediction = SequencePrediction | TokenPrediction;

export interface LoadOptions {
  /**
   * Which ONNX export of the bundle, blessed or not. When not given, the one in fp32, which has to be
   * blessed.
   */
  precision?: "fp32" | "int8";
  /** How many threads compute; 1 when not given. */
  threads?: number;
  /** Post-process spans as the bundle asks for it; false gives what the model says. On by default. */
  postprocess?: boolean;
}

/** Answers for the heads of one bundle; `load` makes it. */
export interface Classifier {
  /** Names of the heads, in the order of the outputs. A bundle of one task has one. */
  readonly heads: string[];
  /**
   * Return each text's predictions by head, in text order. Long texts are read window by window.
   *
   * @throws RangeError if a text is blank, too long, or no valid Unicode; TypeError if it is none.
   */
  predict(texts: string[], options?: { heads?: string[] }): Promise<Record<string, Prediction>[]>;
}

/** Load a bundle that has an ONNX export. @throws BundleError if it is missing, damaged or not blessed. */
export function load(directory: string, options?: LoadOptions): Promise<Classifier>;

/** How a bundle's golden answers compare with what this client says. */
export interface Verified {
  texts: number;
  windows: number;
  /** Largest difference of a logit. */
  logits: number;
  /** Largest difference of a probability or a span's score. */
  probabilities: number;
  /** What differs, in words; none when the client passes. Texts by number, never by content. */
  faults: string[];
}

/** Replay a bundle's golden answers through its fp32 export, blessed or not. @throws BundleError if it has none, or they are damaged. */
export function verify(directory: string): Promise<Verified>;

/** An error in three parts: what was needed, what came, what to do. */
export class BundleError extends Error {}
