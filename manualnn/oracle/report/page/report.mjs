// The report's page. Python has written everything that is to be read; this script adds what needs
// a browser: sorting and filters of the table, buttons to copy, files to download.

import { offerFilter, offerSorting } from "./checks.mjs";

const report = JSON.parse(document.getElementById("report").textContent);

// The finding that an element shows; undefined if it was too large for the page's data.
function findingOf(element) {
  const { case: id, check } = element.dataset;
  const findings = report.results.flatMap((result) => result.findings);
  return findings.find((finding) => finding.case_id === id && finding.check === check);
}

// What `manualnn check --replay` reads: a case with all checks that fail on it.
function failureOf(finding) {
  const alike = report.results.flatMap((result) => result.findings)
    .filter((other) => other.case_id === finding.case_id);
  const longest = alike.reduce((a, b) => (b.before.length > a.before.length ? b : a));
  return {
    checks: alike.map((other) => other.check),
    target: report.target,
    case: finding.case,
    before: longest.before,
    repeatable: alike.every((other) => other.repeatable),
  };
}

// Browsers refuse the clipboard to pages from disk, or ask; then a selection copies as ever.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    const focused = document.activeElement;
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}

function addButton(tools, label, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => act(button));
  tools.append(button);
}

function addCopyButton(tools, label, text, status) {
  addButton(tools, label, async () => {
    const copied = await copy(text());
    status.textContent = copied ? "Copied." : "The browser refused; select the text and copy it.";
    setTimeout(() => { status.textContent = ""; }, 4000);
  });
}

function download(name, text) {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

function offerReplay(element) {
  const tools = element.querySelector(".tools");
  const command = element.querySelector(".command");
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  addCopyButton(tools, "Copy command", () => command.textContent, status);
  const finding = findingOf(element);
  if (finding !== undefined) {
    const text = () => `${JSON.stringify(failureOf(finding), null, 1)}\n`;
    addCopyButton(tools, "Copy case as JSON", text, status);
    addButton(tools, "Download case", () => {
      download(`${finding.case_id}.json`, text());
      status.textContent = `Saved as ${finding.case_id}.json.`;
    });
  }
  tools.append(status);
  tools.hidden = false;
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

const table = document.getElementById("all-checks");
const filter = offerFilter(document.getElementById("filter"), table);
offerSorting(table);
document.querySelectorAll(".finding").forEach(offerReplay);
addEventListener("hashchange", () => revealTarget(filter));
revealTarget(filter);
