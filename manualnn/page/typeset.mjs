// Names of quantities in a sentence, set as in formulas, so that one thing looks the same everywhere.

import { parsed } from "./dom.mjs";
import { math, symbol } from "./mathml.mjs";

const NAME = /((?:∂L\/∂)?(?:\d+\.(?:weight|bias)\b(?:\[[\d,]+\])?|\b[a-z]\d*\[[\d,]+\])′?)/;

// Return the pieces of a text, to append to an element: strings, and MathML for names.
export function typeset(text) {
  return text.split(NAME).map((piece, i) => (i % 2 ? parsed(math(symbol(piece), piece)) : piece))
    .filter((piece) => piece !== "");
}
