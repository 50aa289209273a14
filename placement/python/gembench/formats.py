"""Files of serving engines and models: placements in engines' formats, the shape of a model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Union


@dataclass(frozen=True)
class ModelShape:
    """The MoE layers of a model, as its config.json on huggingface.co states them."""

    type: str  # "model_type"
    moe_layers: list[int]  # indices of the layers with experts
    model_layers: int  # dense ones included
    experts: int  # routed ones of a layer
    topk: int
    shared: int  # shared experts of the width of a routed one
    hidden: int
    ffn: int  # inner width of a routed expert

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> "ModelShape":
        """A config.json, or the one in a folder. ValueError for what states no MoE model; ImportError
        as convert()."""
        return cls(*_formats().read_model(os.fspath(path)))


def convert(source: Union[str, os.PathLike[str]], to: str, *, ranks: int = 0, layers: int = 0,
            experts: int = 0) -> str:
    """The text of a placement file in another format: `gembench list` has the names. `ranks`, `layers`
    and `experts` for files that do not say. ValueError for what the engine could not load;
    ImportError where the package was built without libarchive, libzip and libyaml, or does not find them now."""
    text: str = _formats().convert(os.fspath(source), to, ranks, layers, experts)
    return text


def _formats() -> Any:
    try:
        from . import _formats as found
    except ImportError as error:
        raise ImportError(f"this gembench has no formats of engines ({error}): install libarchive, libzip, libyaml and "
                          "zlib with their headers, then gembench again") from error
    return found
