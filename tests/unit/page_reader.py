"""Reads a page into a tree in which tests find elements. Stricter than a browser: it mends nothing."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img"}


class Element:
    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.inside = tag, attributes, []

    @property
    def text(self):
        return " ".join("".join(each if isinstance(each, str) else f" {each.text} " for each in self.inside).split())

    def all(self, tag=None, **wanted):
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        for each in self.inside:
            if isinstance(each, str):
                continue
            if tag in (None, each.tag) and wanted.items() <= each.attributes.items():
                yield each
            yield from each.all(tag, **{name.replace("-", "_"): value for name, value in wanted.items()})

    def one(self, tag=None, **wanted):
        (found,) = self.all(tag, **wanted)
        return found


class Reader(HTMLParser):
    """A tree of the page; a tag that is not closed, or not the innermost, is an error."""

    def __init__(self):
        super().__init__()
        self.open = [Element("document", {})]

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} says an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        self.open[-1].inside.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    (document,) = reader.open
    return document
