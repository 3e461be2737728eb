"""Hook of MkDocs: takes pages from where they are in the repository, and rewrites links that leave `docs/`.

The same files are read on the code host, so their links are those of the repository. On the site a link to a page goes
to the page, one to another file to the file on the code host (`repo_url`), and without one it becomes plain text.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "models/MODEL_CARD.md": "model_card.md",
    "training/EXPERIMENTS.md": "experiments.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "runtime/genre_runtime/THIRD_PARTY.md": "third_party.md",
}
"""Pages of the site that lie elsewhere in the repository."""
MERMAID = ROOT / ".cache" / "docs" / "mermaid.min.js"
PICTURES = (".png", ".svg")
REFERENCE = """# Python reference

::: genre_runtime.GenreClassifier
::: genre_runtime.Prediction
::: genre_runtime.ExcerptPrediction
::: genre_runtime.DecodeLimits
::: genre_runtime.AudioConfig
::: genre_runtime.ModelMetadata
::: genre_runtime.errors
"""
TRY = """# In the browser

The model runs in a page: choose files there, and none of them leaves your computer.
[Open the page](try/index.html){.md-button .md-button--primary target=_blank}

![The page with results](try.png)

How it works, and how its answers compare with those of the command, is in [the model](model.md#in-a-browser).
"""
_ATTRIBUTE = re.compile(r"^(\w+) : .*\n    (.*)", re.MULTILINE)
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<head>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<target>[^)\s]+)(?P<tail>[^)]*\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that lie outside of `docs/`, and those that are generated."""
    for source, name in PAGES.items():
        files.append(_generated(config, name, (ROOT / source).read_text(encoding="utf-8")))
    files.append(_generated(config, "reference.md", REFERENCE))
    files.append(_generated(config, "try.md", TRY))
    files.append(_generated(config, "http.md", http_reference()))
    files.append(File.generated(config, MERMAID.name, abs_src_path=str(MERMAID)))
    for name in _shown_pictures():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page."""
    name = page.file.src_uri
    source = next((one for one, of in PAGES.items() if of == name), f"docs/{name}")
    if name in ("reference.md", "try.md", "http.md"):
        return markdown

    def rewritten(found: re.Match[str]) -> str:
        target, _, anchor = found["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else path)
        file = files.get_file_from_path(place)
        if file is not None and file.inclusion.is_included():
            return f"{found['head']}{place}{'#' + anchor if anchor else ''}{found['tail']}"
        if not (ROOT / path).exists():
            return found[0]  # MkDocs names it
        if config.repo_url:
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"{found['head']}{config.repo_url.rstrip('/')}/{kind}/main/{path}{found['tail']}"
        return found["head"].removeprefix("[").removesuffix("](")

    return _DIAGRAM.sub(
        lambda found: f'<pre class="mermaid"><code>{escape(found[1])}</code></pre>', _LINK.sub(rewritten, markdown)
    )


def on_post_build(config: MkDocsConfig) -> None:
    """Add the page that classifies in the browser, then check the links of the finished pages."""
    command = [sys.executable, str(ROOT / "docs/try/build.py"), "--output", str(Path(config.site_dir, "try"))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if dead := dead_links(Path(config.site_dir)):
        raise PluginError("dead links:\n" + "\n".join(dead))


def dead_links(site: Path) -> list[str]:
    """Return each link of a page in `site` to a file or an anchor that does not exist, as `PAGE: LINK`.

    MkDocs checks the links in the text of pages, but not those to files that it leaves out, nor those in HTML.

    Parameters
    ----------
    site : Path
    """
    texts = {path.name: path.read_text(encoding="utf-8") for path in site.glob("*.html") if path.name != "404.html"}
    anchors = {name: set(re.findall(r'\bid="?([^"\s>]+)', text)) for name, text in texts.items()}
    dead = []
    for name, text in texts.items():
        for link in sorted(set(re.findall(r'\b(?:href|src)="?([^"\s>]+)', text))):
            target, _, anchor = unquote(unescape(link)).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            target = target or name
            if not (site / target).exists() or (anchor and target in anchors and anchor not in anchors[target]):
                dead.append(f"{name}: {link}")
    return dead


def http_reference() -> str:
    """Return a page with every endpoint, from the description that the service gives of itself."""
    from genre_api.app import create_app

    described = create_app().openapi()
    types = described["components"]["schemas"]
    lines = ["# HTTP reference", "", "Every endpoint, as `GET /openapi.json` of a running service describes it.", ""]
    for path, methods in described["paths"].items():
        for method, one in methods.items():
            lines += [f"## {method.upper()} {path}", "", one.get("description") or one.get("summary", ""), ""]
            rows = [
                (value["name"], value["in"], _type(value.get("schema", {})), value.get("description", ""))
                for value in one.get("parameters", ())
            ]
            lines += _table(("parameter", "in", "type", ""), rows)
            for kind, content in one.get("requestBody", {}).get("content", {}).items():
                lines += _content(f"Body, `{kind}`", content.get("schema", {}), types)
            for status, answer in one["responses"].items():
                if status.startswith("2"):
                    for kind, content in answer.get("content", {}).items():
                        lines += _content(f"Answer {status}, `{kind}`", content.get("schema", {}), types)
            rows = [
                (status, *answer["description"].partition("; code: ")[::2])
                for status, answer in one["responses"].items()
            ]
            lines += ["", *_table(("status", "meaning", "code of the problem"), sorted(rows))]
    lines += ["# Types", ""]
    for name, schema in types.items():
        if not name.startswith("Body_"):
            lines += [f"## {name}", "", _about(schema), "", *_fields(schema)]
    return "\n".join(lines)


def _content(what: str, schema: dict[str, Any], types: dict[str, Any]) -> list[str]:
    """Return lines about a body: a link to its type, or a table of its fields."""
    named = schema.get("$ref", "").rpartition("/")[2]
    if named and not named.startswith("Body_"):
        return [f"{what}: {_type(schema)}", ""]
    fields = _fields(types[named] if named else schema)
    return [f"{what}:", "", *fields] if fields else [f"{what}{': ' if schema else ''}{_type(schema)}", ""]


def _fields(schema: dict[str, Any]) -> list[str]:
    needed, about = schema.get("required", ()), dict(_ATTRIBUTE.findall(schema.get("description", "")))
    rows = [
        (name, _type(one), "yes" if name in needed else "", one.get("description", about.get(name, "")))
        for name, one in schema.get("properties", {}).items()
    ]
    return _table(("field", "type", "required", ""), rows)


def _about(schema: dict[str, Any]) -> str:
    """Return the description of a type; the fields of a dataclass are described in it, and have a table here."""
    return str(schema.get("description", "")).partition("\nAttributes\n")[0]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [f"| {' | '.join(map(_cell, row))} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _type(schema: dict[str, Any]) -> str:
    """Return a type in words, with a link if it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return " or ".join(dict.fromkeys(map(_type, choices)))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if properties := schema.get("properties"):
        return "object with " + ", ".join(f"`{name}` ({_type(one)})" for name, one in properties.items())
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return "bytes" if schema.get("format") == "binary" else kind


def _generated(config: MkDocsConfig, name: str, text: str) -> File:
    return File.generated(config, name, content=text)


def _shown_pictures() -> set[str]:
    """Return the pictures outside of `docs/` that pages show, by their place in the repository."""
    found = set()
    for source in [*PAGES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]:
        for link in _LINK.finditer((ROOT / source).read_text(encoding="utf-8")):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["target"]))
            if path.endswith(PICTURES) and not path.startswith("docs/") and (ROOT / path).is_file():
                found.add(path)
    return found
