// Numbers in sentences.

import { formatNumber } from "../../page/notation.mjs";

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

// A number as a reader writes it: −0.25, or 1.5 × 10⁻⁷. Options are those of formatNumber.
export function writtenNumber(value, options) {
  const [digitsOfIt, exponent] = formatNumber(value, options).split("e");
  const mantissa = digitsOfIt.replace("-", "−");
  if (exponent === undefined) return mantissa;
  const power = Number(exponent);
  const digits = String(Math.abs(power)).replace(/\d/g, (digit) => SUPERSCRIPTS[digit]);
  return `${mantissa} × 10${power < 0 ? "⁻" : ""}${digits}`;
}

export const updatesText = (count) => `${count} update${count === 1 ? "" : "s"}`;
