"""Which packages, in which versions, a logged model needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from medmamba_monai import __version__

DISTRIBUTION = "medmamba-monai"


def pin_requirements(versions: Mapping[str, str], with_code: bool = False) -> list[str]:
    """Return this package and all that it needs, each pinned, sorted.

    Args:
        versions: of the packages that wrote the package of networks; these come before the installed ones.
        with_code: the model carries the code of this package, which is then no requirement.
    """
    known = {**_read_installed(), DISTRIBUTION: __version__, **versions}
    return [
        f"{name}=={_strip_build(known[name])}" for name in sorted(known) if not (with_code and name == DISTRIBUTION)
    ]


def _read_installed() -> dict[str, str]:
    """Return the installed versions of what this package depends on, none of its extras."""
    try:
        needed = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:  # a tree that was not installed does not say what it needs
        return {}
    return {one.name: version(one.name) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}


def _strip_build(text: str) -> str:
    """Return a version without the build, such as ``+cpu``, which an index does not have."""
    return text.partition("+")[0]
