"""Makes HTML of what stands in a page.

Nothing that comes from a store is believed: Jinja2 escapes what it puts into the page, the data are JSON in
which no `<` stands, scripts write text as text, and the Content-Security-Policy lets no script run but ours.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files

import jinja2
import msgspec
from markupsafe import Markup

from regfs.page.document import Page
from regfs.page.units import readable

#: Other people's code, as it was published.
_VENDORED, _LICENCE = "d3-hierarchy.min.js", "d3-hierarchy.LICENSE"

#: In the order in which they need each other.
_SCRIPTS = ("units", "model", "treemap", "charts", "dialog", "tags", "start")


def render(page: Page) -> bytes:
    """Give the page as one file of HTML."""
    style, *scripts = _parts()
    policy = f"style-src {_hash(style)}; script-src {' '.join(_hash(script) for script in scripts)}"
    html = _template().render(
        page=page,
        policy=f"default-src 'none'; img-src data:; {policy}; base-uri 'none'; form-action 'none'",
        style=Markup(style),  # noqa: S704  # ours, as is what follows
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        data=Markup(_data(page)),  # noqa: S704
    )
    return html.encode("utf-8", "backslashreplace")


def _data(page: Page) -> str:
    """Give what the scripts read as JSON that ends no element: in JSON, `<` stands in texts alone."""
    text = msgspec.json.encode({name: getattr(page, name) for name in _READ_BY_SCRIPTS}).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


#: The rest stands in the page as HTML, for who runs no scripts.
_READ_BY_SCRIPTS = (
    "store",
    "host",
    "made",
    "total",
    "uploads_at_least",
    "number_of_tags",
    "top",
    "places",
    "repositories",
    "images",
    "tags",
    "months",
    "ages",
)


@cache
def _parts() -> tuple[str, str, str]:
    """Give the style and the scripts."""
    here = files("regfs.page")
    style = (here / "template" / "style.css").read_text("utf-8")
    licence = (here / "vendor" / _LICENCE).read_text("utf-8")
    vendored = f"/*\n{licence}*/\n" + (here / "vendor" / _VENDORED).read_text("utf-8")
    ours = "".join((here / "template" / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    return style, vendored, f'(() => {{\n"use strict";\n{ours}}})();'


def _hash(text: str) -> str:
    """Name a script or a style as a Content-Security-Policy does (CSP Level 3, "Hash usage")."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.PackageLoader("regfs.page", "template"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"size": readable, "date": _date, "count": lambda number: f"{number:,}"}
    return environment.get_template("page.html")


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
