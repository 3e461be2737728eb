"""A page taken apart by Python's own parser, which must find it whole."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}
Attributes = dict[str, str | None]


class Page(HTMLParser):
    """What a page holds.

    Attributes
    ----------
    tags : list of (str, attributes)
    tables : list of rows of texts
        Cells of each table in the order of the page; `names` has what its region is called.
    texts : dict of str to list of str
        By the innermost tag.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.names: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
            self.names.append(dict(attrs).get("id") or self.tags[-2][1].get("aria-label") or "")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"{tag} ends, which never began"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)
        if "table" in self._open and {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def table(self, name: str) -> list[list[str]]:
        """Return the rows of a table below its head, by its id or its region's name."""
        return self.tables[self.names.index(name)][1:]

    def attributes(self, name: str) -> list[str]:
        """Return the values that an attribute has anywhere."""
        return [value or "" for _, attributes in self.tags for key, value in attributes.items() if key == name]
