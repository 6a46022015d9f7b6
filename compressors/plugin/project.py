"""What the project of a plug-in declares for it: ``expect`` in ``[tool.kvbarrier]``.

[tool.kvbarrier]
expect = ["keeps=last:256", "bits=3"]
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from ...errors import BadInput
from .declaration import Declaration


def project_declaration(target: str) -> Declaration | None:
    """The declaration in the nearest pyproject.toml, upwards from the target's file or from here.

    None if there is no such file, or if it says nothing. Raises BadInput if it cannot be read, or
    holds another kind of ``expect``.
    """
    file = Path(target.partition("?")[0].partition(".py")[0] + ".py")
    folder = (file.parent if file.is_file() else Path()).resolve()
    path = next(
        (p for f in (folder, *folder.parents) if (p := f / "pyproject.toml").is_file()), None
    )
    if path is None:
        return None
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}): mend it.") from None
    words = said.get("tool", {}).get("kvbarrier", {}).get("expect")
    if words is None:
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadInput(f'{path}: expect must be a list of words: expect = ["keeps=all", "exact"].')
    try:
        return Declaration.of_words(words)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
