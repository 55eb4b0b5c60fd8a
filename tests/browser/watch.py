"""A page under watch: what it writes to the console, throws and requests is remembered."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {"runOnly": RULES, "resultTypes": ["violations"]}
"""The rules of axe-core: WCAG 2.2 to the level AA, and good practice."""


@dataclass
class Watch:
    """What a page did that it must not do."""

    messages: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and exceptions that nobody caught."""
    requests: list[str] = field(default_factory=list)
    """Addresses of everything that the page asked for, except itself."""

    @contextmanager
    def over(self, page: Page, own: str) -> Iterator[None]:
        """Listen to a page; its address `own` is no request of its own."""
        listeners: dict[Any, Callable[..., None]] = {
            "console": self._note_message,
            "pageerror": lambda error: self.messages.append(f"exception: {error}"),
            "request": lambda request: self._note_request(request, own),
        }
        for event, note in listeners.items():
            page.on(event, note)
        yield
        for event, note in listeners.items():
            page.remove_listener(event, note)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self.messages.append(f"{message.type}: {message.text}")

    def _note_request(self, request: Request, own: str) -> None:
        if request.url.partition("#")[0] != own and not request.url.startswith("data:"):
            self.requests.append(request.url)


class Pages:
    """Pages of a browser, which open a file each; to make one takes longer than most tests."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[int, Page] = {}  # by their widths, in contexts without other options

    @contextmanager
    def opened(self, file: Path, width: int = 1440, **options: Any) -> Iterator[Page]:
        """Open a file, and fail at the end if the page misbehaved.

        `options` are those of `Browser.new_context`: color_scheme, reduced_motion and so on. A page
        with options has a context of its own. Without any it is used again, after it was blank,
        and only if all went well; what it remembers is the size alone.
        """
        watch, address = Watch(), file.resolve().as_uri()
        page = None if options else self._free.pop(width, None)
        page = page or self._new_page(width, options)
        try:
            with watch.over(page, address):
                page.goto(address)
                yield page
                if not options:
                    page.emulate_media(media="null", color_scheme="null")
                    page.mouse.move(0, 0)
                    page.goto("about:blank")
        except BaseException as error:
            error.add_note(f"{watch} until then")
            page.context.close()
            raise
        if options or watch.messages or watch.requests:
            page.context.close()
        else:
            self._free[width] = page
        if watch.messages or watch.requests:
            raise AssertionError(f"the page misbehaved: {watch}")

    def _new_page(self, width: int, options: dict[str, Any]) -> Page:
        size: Any = {"width": width, "height": 900}
        page = self._browser.new_context(viewport=size, **options).new_page()
        page.set_default_timeout(15000)
        return page


def violations(page: Page) -> list[str]:
    """Return what axe-core finds: the rule, and the first elements that break it."""
    found = Axe().run(page, options=OPTIONS).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}; {len(rule['nodes'])} elements, "
        + " and ".join(node["html"][:200] for node in rule["nodes"][:3])
        for rule in found
    ]


def wider_than_screen(page: Page) -> list[str]:
    """Return the elements that make the page scroll sideways, none if it does not."""
    return page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        if (document.scrollingElement.scrollWidth <= width) return [];
        return [...document.body.querySelectorAll("*")]
            .filter((e) => e.getBoundingClientRect().right > width + 1)
            .map((e) => e.outerHTML.slice(0, 200));
    }""")


def cut_texts(page: Page) -> list[str]:
    """Return the elements that cut off their text, and the fields too narrow for theirs."""
    return page.evaluate("""() => [...document.body.querySelectorAll("*")].filter((e) => {
        if (e.clientWidth <= 1 || !(e.value || e.innerText)) return false;
        const { overflowX, overflowY } = getComputedStyle(e), hides = ["hidden", "clip"];
        const wide = e.scrollWidth > e.clientWidth + 1, high = e.scrollHeight > e.clientHeight + 1;
        if (e.matches("input:not([type=range])")) return wide;
        return (hides.includes(overflowX) && wide) || (hides.includes(overflowY) && high);
    }).map((e) => e.outerHTML.slice(0, 200))""")


PATH = """(e) => {
    const path = [];
    for (; e && e !== document.body; e = e.parentElement) {
        path.unshift(`${e.tagName}:${[...e.parentElement.children].indexOf(e)}`);
    }
    return path.join(" ");
}"""


def focusable(page: Page) -> list[str]:
    """Return the paths of the elements that Tab must reach; of radio buttons, the chosen one."""
    return page.evaluate(f"""() => {{
        const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
        return [...document.querySelectorAll(all)]
            .filter((e) => !e.disabled && e.tabIndex >= 0 && e.checkVisibility())
            .filter((e) => e.type !== "radio" || e.checked)
            .map({PATH});
    }}""")


def press_tabs(page: Page, most: int = 300) -> Iterator[dict[str, Any]]:
    """Press Tab from the top of the page to its end; yield where the focus is."""
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    seen: set[str] = set()
    for _ in range(most):
        page.keyboard.press("Tab")
        place = page.evaluate(f"""() => {{
            const e = document.activeElement, style = getComputedStyle(e);
            return {{
                path: e === document.body ? "" : ({PATH})(e),
                html: e.outerHTML.slice(0, 120),
                outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
            }};
        }}""")
        if not place["path"] or place["path"] in seen:
            return
        seen.add(place["path"])
        yield place


def looks_focused(page: Page) -> bool:
    """Return True if the focused element looks different without the focus."""
    with_focus = page.screenshot()
    page.evaluate("document.activeElement.blur()")
    return page.screenshot() != with_focus
