"""The template engine of the HTML pages: templates are in ``kvbench/report/templates``.

It escapes every text, so that a page shows what a file or a store says and never runs it. What all
pages look like, colours included, is ``look.css``, which each template includes.
"""

from __future__ import annotations

from functools import cache

import jinja2
from markupsafe import Markup

from kvbench.report.format import plain


def render_template(name: str, **data: object) -> str:
    """The template of that name with its data; a variable that is missing is an error."""
    return _environment().get_template(name).render(**data)


def _sentence(text: str) -> Markup:
    """A text of kvbench's; backticks become code."""
    parts = text.split("`")
    return Markup("").join(
        [Markup("<code>{}</code>").format(part) if place % 2 else part
         for place, part in enumerate(parts)]
    )  # fmt: skip


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kvbench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "sentence": _sentence}
    return environment
