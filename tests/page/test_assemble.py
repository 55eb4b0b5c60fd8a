"""Assembling a page from its modules: the order, what is dropped, and what must not be in them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import Page

from manualnn.page.assemble import modules, page

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    texts = {
        "a.mjs": 'import { b } from "./b.mjs";\nimport {\n  c,\n} from "./c.mjs";\n'
        "export function a() {\n  return b + c;\n}\n",
        "b.mjs": 'import { c } from "./c.mjs";\nexport const b = c;\n',
        "c.mjs": "export const c = 1; // an export that stays\n",
        "style.css": "p { color: red; }\n",
        "template.html": "<title>$title</title>$head $body $data $script",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def assembled(folder, **options):
    given = {"data": {}, "title": "A page", "parts": {"body": "<p>b</p>"}} | options
    return page(
        folder / "template.html",
        styles=[folder / "style.css"],
        entry=folder / "a.mjs",
        **given,
    )


def test_a_module_comes_after_all_that_it_imports(folder):
    assert [path.name for path in modules(folder / "a.mjs")] == ["c.mjs", "b.mjs", "a.mjs"]


def test_modules_that_import_each_other_come_once(folder):
    (folder / "c.mjs").write_text('import { a } from "./a.mjs";\nexport const c = 1;\n')
    assert [path.name for path in modules(folder / "a.mjs")] == ["c.mjs", "b.mjs", "a.mjs"]


def test_the_script_is_the_modules_without_imports_and_exports(folder):
    script = re.search(r'<script type="module">\n(.*)</script>', assembled(folder), re.DOTALL)[1]
    assert script == (
        "// ===== c.mjs\n\nconst c = 1; // an export that stays\n\n"
        "// ===== b.mjs\n\nconst b = c;\n\n"
        "// ===== a.mjs\n\nfunction a() {\n  return b + c;\n}\n"
    )


@pytest.mark.parametrize("text", ["</script><p>", "<!--<script>", "a & b < c", "\u2028"])
def test_data_cannot_end_their_element(folder, text):
    html = assembled(folder, data={"numbers": json.dumps([text])})
    assert json.loads(Page(html).scripts[0]) == [text]


def test_a_title_is_plain_text(folder):
    assert "<title>&lt;b&gt; &amp; c</title>" in assembled(folder, title="<b> & c")


def test_the_parts_are_html(folder):
    assert "<p>b</p>" in assembled(folder)


DECLARATION = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+|\{[^}]*\})", re.MULTILINE
)


def declared(module):
    found = DECLARATION.findall(module.read_text(encoding="utf-8"))
    return [name for group in found for name in re.findall(r"\w+", group)]


PAGES = sorted(Path(__file__).parents[2].glob("manualnn/**/page/app.mjs"))


@pytest.mark.parametrize("entry", PAGES, ids=lambda path: path.parts[-3])
def test_the_modules_of_a_page_declare_no_name_twice(entry):
    names = [name for module in modules(entry) for name in declared(module)]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})


@pytest.mark.parametrize("entry", PAGES, ids=lambda path: path.parts[-3])
def test_the_modules_of_a_page_are_assembled_whole(entry):
    for module in modules(entry):
        text = module.read_text(encoding="utf-8")
        assert "</script" not in text.lower(), module
        assert "<!--" not in text, module
        assert text.count("import ") >= len(re.findall(r"^import ", text, re.MULTILINE))
        dropped = re.sub(r'^import \{[^}]*\} from "\.[^"]+";\n', "", text, flags=re.MULTILINE)
        assert not re.search(r"^import |^export (?:default|\{|\*)", dropped, re.MULTILINE), module


def test_node_takes_the_assembled_script(tmp_path):
    node = shutil.which("node")
    assert node, "node is not installed; the page's modules need it (apt-get install nodejs)"
    for number, entry in enumerate(PAGES):
        (tmp_path / "template.html").write_text("$title $head $data $script")
        html = page(tmp_path / "template.html", styles=[], entry=entry, data={}, title="A page")
        script = tmp_path / f"page{number}.mjs"
        script.write_text(Page(html).scripts[-1], encoding="utf-8")
        done = subprocess.run(  # noqa: S603  # our own module
            [node, "--check", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
