"""What a test reads off an explanation's page, and how it moves there."""

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

READ = """[...document.querySelectorAll("[data-q]")].map(
    (e) => [e.dataset.q, e.dataset.value, e.textContent.trim()])"""
WALK = f"""(samples) => {{
    const write = (input, value) => {{
        input.value = value;
        input.dispatchEvent(new Event("input", {{bubbles: true}}));
    }};
    const slider = document.querySelector("#step-slider"), found = new Map();
    const sample = document.querySelector("[data-edit=sample]");
    document.body.hidden = true; // no step is laid out
    for (let n = 0; n < samples; n++) {{
        if (sample) write(sample, n);
        for (let k = Number(slider.min); k <= Number(slider.max); k++) {{
            write(slider, k);
            for (const number of {READ}) found.set(number.join("\\n"), number);
        }}
    }}
    document.body.hidden = false;
    return [...found.values()];
}}"""
NUMBER = re.compile(r"(-?\d+(?:\.(\d+))?)(?:e([-+]?\d+))?")
POWER = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@dataclass(frozen=True)
class Shown:
    """A number on a page: its name, its value, and its text."""

    name: str
    value: float
    text: str

    def is_legible(self) -> bool:
        """Return True if the text is the value, rounded to the digits that the text has."""
        text = re.sub(r"^×\s*", "", self.text).replace(" × 10", "e").translate(POWER)
        text = text.replace("−", "-").strip("()").replace("∞", "inf")
        found = NUMBER.fullmatch(text)
        if found is None:
            words = {"inf", "infinity", "nan"}
            return text.lstrip("-").lower() in words and str(float(text)) == str(self.value)
        _, decimals, power = found.groups()
        unit = 10.0 ** (int(power or 0) - len(decimals or ""))
        return abs(float(text) - self.value) <= unit * 0.500001


def walk(page: Page, samples: int = 1) -> list[Shown]:
    """Return the different numbers that the steps show, for one sample after the other."""
    return [shown(*found) for found in page.evaluate(WALK, samples)]


def read(page: Page, within: str = "body") -> list[Shown]:
    """Return the numbers that an element shows now."""
    return [shown(*found) for found in page.locator(within).evaluate(f"(document) => {READ}")]


def shown(name: str, value: str, text: str) -> Shown:
    return Shown(name.replace("'", "′"), float(value.replace("Infinity", "inf")), text)


def edit(page: Page, name: str, value: Any) -> None:
    """Write a value into the field of that name, leave the field, and wait for the descent."""
    field = page.locator(f'[data-edit="{name}"]')
    field.fill(str(value))
    field.blur()
    page.locator('#descent[aria-busy="false"]').wait_for(state="attached")
