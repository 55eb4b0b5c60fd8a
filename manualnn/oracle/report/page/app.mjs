// The report's page. Python has written everything that is to be read; this script adds what needs
// a browser: drawings, sorting and filters of the table, buttons to copy, files to download.

import { download, element } from "../../../page/dom.mjs";
import { offerThemes } from "../../../page/theme.mjs";
import { offerFilter, offerSorting } from "./checks.mjs";
import { drawCase } from "./drawing.mjs";

const report = JSON.parse(document.getElementById("report").textContent);
// A page that compares engines has no finding.
const findings = (report.results ?? []).flatMap((result) => result.findings);

// The finding that an element shows; undefined if it was too large for the page's data.
function findingOf({ dataset }) {
  return findings.find(({ case_id: id, check }) => id === dataset.case && check === dataset.check);
}

// What `manualnn check --replay` reads: a case with all checks that fail on it.
function failureOf(finding) {
  const alike = findings.filter((other) => other.case_id === finding.case_id);
  const longest = alike.reduce((a, b) => (b.before.length > a.before.length ? b : a));
  return {
    checks: alike.map((other) => other.check),
    target: report.target,
    case: finding.case,
    before: longest.before,
    repeatable: alike.every((other) => other.repeatable),
  };
}

// Browsers may refuse the clipboard to a page from disk; then a selection copies, as ever.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const area = element("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}

function offerReplay(shown) {
  const tools = shown.querySelector(".tools");
  const command = shown.querySelector(".command").textContent;
  const status = element("span", { role: "status" });
  const addButton = (label, press) => {
    tools.append(element("button", { type: "button", click: press }, label));
  };
  const addCopyButton = (label, text) => addButton(label, async () => {
    const copied = await copyText(text());
    status.textContent = copied ? "Copied." : "The browser refused; select the text and copy it.";
  });
  addCopyButton("Copy command", () => command);
  const finding = findingOf(shown);
  if (finding !== undefined) {
    const text = () => `${JSON.stringify(failureOf(finding), null, 1)}\n`;
    addCopyButton("Copy case as JSON", text);
    addButton("Download case", () => {
      download(`${finding.case_id}.json`, text());
      status.textContent = `Saved as ${finding.case_id}.json.`;
    });
  }
  tools.append(status);
  tools.hidden = false;
}

// A finding gets its drawing and its buttons when it comes near the screen, because a report may
// have hundreds of them. What is closed is never near.
const watcher = new IntersectionObserver((changes) => {
  changes.filter(({ isIntersecting }) => isIntersecting).forEach(({ target }) => completeFinding(target));
}, { rootMargin: "600px" });

function completeFinding(shown) {
  watcher.unobserve(shown);
  if (shown.dataset.complete) return;
  shown.dataset.complete = "true";
  offerReplay(shown);
  const finding = findingOf(shown);
  if (finding !== undefined && finding.case.x.length > 0) {
    // In a task of its own, so that a case that cannot be drawn does not stop the others.
    queueMicrotask(() => drawCase(shown.querySelector(".network"), finding));
  }
}

// A link to something that is closed or filtered out shows it first.
function revealTarget(filter) {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target === null) return;
  if (target.hidden) filter.clear();
  for (let e = target.parentElement; e !== null; e = e.parentElement) {
    if (e.tagName === "DETAILS") e.open = true;
  }
  target.tabIndex = -1;
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: target.tagName === "TR" ? "center" : "start" });
}

function startReport() {
  const theme = document.getElementById("theme");
  offerThemes(theme);
  theme.hidden = false;
  const table = document.getElementById("all-checks");
  if (table === null) return;
  const filter = offerFilter(document.getElementById("filter"), table);
  offerSorting(table);
  const everyFinding = document.querySelectorAll(".finding");
  everyFinding.forEach((shown) => watcher.observe(shown));
  addEventListener("beforeprint", () => everyFinding.forEach(completeFinding));
  addEventListener("hashchange", () => revealTarget(filter));
  revealTarget(filter);
}

startReport();
