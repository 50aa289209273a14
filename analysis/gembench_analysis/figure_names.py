"""Parts of file names made from labels."""

import re


def slug(words: str) -> str:
    """Lower-case letters, digits, + and dashes."""
    return re.sub(r"[^a-z0-9+]+", "-", words.lower())[:60].strip("-")
