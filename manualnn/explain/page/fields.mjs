// Fields for numbers: a good value acts at once, a bad one gets a message and changes nothing.

import { element } from "../../page/dom.mjs";

// A field with its label and its message. `read(text)` returns {value} or {problem}; `act(value)`
// is called with every good value. The result's `show(value)` writes a value from outside, unless a
// reader is writing there; `reset(value)` writes it in any case. A field that is not in use shows
// six digits of a long number.
export function field({ edit, label, read, act, write = String, hidden = false, ...attributes }) {
  const id = `edit-${edit}`;
  let current; // the value in force
  const message = element("p", { class: "error", id: `${id}-message`, role: "alert", hidden: true });
  const input = element("input", {
    id, "data-edit": edit, type: "text", inputmode: "decimal", autocomplete: "off",
    "aria-label": hidden && label, "aria-describedby": message.id, ...attributes,
    input: () => {
      const { value, problem } = read(input.value);
      refuse(problem);
      if (problem) return;
      current = value;
      act(value);
    },
    focus: () => { if (!isRefused()) input.value = write(current); },
    blur: () => { if (!isRefused()) input.value = short(); },
  });
  const isRefused = () => input.hasAttribute("aria-invalid");
  const short = () =>
    (typeof current === "number" ? String(Number(current.toPrecision(6))) : write(current));
  function refuse(problem) {
    message.hidden = !problem;
    message.textContent = problem ?? "";
    if (problem) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  const reset = (value) => {
    current = value;
    input.value = short();
    input.title = `${label}: ${write(value)}`;
    refuse(null);
  };
  const show = (value) => {
    if (document.activeElement !== input) reset(value);
  };
  return { input, message, label: element("label", { for: id }, label), show, reset };
}

const DECIMAL = /^[-+]?(\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i; // not 0x10, which JavaScript takes, too

const text = (content) => content.trim().replace(/^−/, "-");

export const numberIn = (least = -Infinity, most = Infinity, kind = "a number such as 0.25 or -1e-3") =>
  (content) => {
    const written = DECIMAL.exec(text(content));
    const value = Number(text(content));
    const isLost = value === 0 && /[1-9]/.test(written?.[1]); // 1e-400 is no float
    if (written && !isLost && Number.isFinite(value) && value >= least && value <= most) {
      return { value };
    }
    const got = text(content) === "" ? "The field is empty"
      : `“${content}” ${isLost ? "is too small and would be 0" : "does not fit"}`;
    return { problem: `${got}: write ${kind}. The last value stays in force.` };
  };

export const integer = (least, most) => (content) => {
  const kind = `an integer from ${least} to ${most.toLocaleString("en")}`;
  const found = numberIn(least, most, kind)(content);
  return found.problem || Number.isInteger(found.value)
    ? found : numberIn(1, 0, kind)(content);
};

export const plusOrMinusOne = (content) => {
  const found = numberIn(-1, 1, "1 or −1")(content);
  return found.problem || Math.abs(found.value) === 1 ? found : numberIn(1, 0, "1 or −1")(content);
};

export const optional = (read) => (content) => (text(content) === "" ? { value: null } : read(content));
