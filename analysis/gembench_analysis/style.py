"""The style sheets: colours (light.css, dark.css), figures (figure.css), the page (report.css)."""

import re
from functools import lru_cache
from importlib import resources
from typing import Dict, Set


@lru_cache(maxsize=None)
def asset(name: str) -> str:
    """A file of this package."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def of_page() -> str:
    """<style> elements. report.js sets `media` of the dark one; print is always light."""
    always = "".join(asset(name) for name in ("light.css", "figure.css", "report.css"))
    return (f"<style>{always}</style><style id=dark media='screen and (prefers-color-scheme:dark)'>"
            f"{asset('dark.css')}</style>")


def of_figure(classes: Set[str]) -> str:
    """The rules of figure.css that these classes need, light and dark. Variables are replaced by
    their colours, since only browsers support variables."""
    light, dark = "", ""
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", asset("figure.css")):
        named = set(re.findall(r"\.([\w-]+)", selector))
        if named and not named & classes:
            continue
        light += f"{selector.strip()}{{{_coloured(body, 'light.css')}}}"
        varying = ";".join(one for one in body.split(";") if "var(" in one)
        if varying:
            dark += f"{selector.strip()}{{{_coloured(varying, 'dark.css')}}}"
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _coloured(body: str, sheet: str) -> str:
    colours: Dict[str, str] = dict(re.findall(r"--([\w-]+):([^;}]+)", asset(sheet)))
    return re.sub(r"var\(--([\w-]+)\)", lambda found: colours[found[1]], body)
