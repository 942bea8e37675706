"""What `import flowfabric` offers."""

from __future__ import annotations

import inspect
from pathlib import Path

import flowfabric

SIBLINGS = {"cli", "stack", "testing"}


def test_all_names_everything_public_in_order() -> None:
    public = {
        name
        for name, value in vars(flowfabric).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert set(flowfabric.__all__) == public
    assert flowfabric.__all__ == sorted(flowfabric.__all__, key=lambda name: (not name.isupper(), name))


def test_everything_public_has_a_docstring() -> None:
    undocumented = [
        name
        for name in flowfabric.__all__
        if inspect.isclass(value := getattr(flowfabric, name)) and not value.__doc__
    ]

    assert undocumented == []


def test_implementation_modules_are_private() -> None:
    folder = Path(flowfabric.__file__).parent

    public = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}

    assert public <= SIBLINGS
