"""The documentation site has every page; its links are checked when it is built (`invoke docs`)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_navigation_has_every_page_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- [\w ]+: (\w+\.md)$", text, re.MULTILINE)
    hook = (ROOT / "docs" / "hook.py").read_text(encoding="utf-8")
    (pages,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(hook).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    )
    assert all((ROOT / source).is_file() for source in pages)
    generated = set(re.findall(r'"(\w+\.md)", (?:REFERENCE|TRY|http_reference)', hook))
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(listed) == sorted({*pages.values(), *generated, *written})
