"""Natural texts that are there without a network: prose, code, tables, many languages.

All but the last come with Python itself, the last from a package that is pinned beside the model:

* prose: the language reference, as ``help()`` has it (``pydoc_data.topics``);
* code: modules of the standard library, from their first definition on;
* tables: what the standard library knows as tables, written out a row a line;
* multilingual: the messages of Django in other languages (its compiled catalogs), sentence by
  sentence; nothing of Django is imported.

One piece a document, so that pieces of a kind are different texts and an interval over them means
something. A text changes with the version of what it ships in: its digest says which one it was.
"""

from __future__ import annotations

import calendar
import gettext
import hashlib
import http
import importlib.util
import locale
import mimetypes
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from encodings.aliases import aliases
from html.entities import html5
from pathlib import Path
from pydoc_data.topics import topics
from statistics import NormalDist

from ....errors import BadInput, did_you_mean

#: characters of a piece: more than 577 tokens of any kind
LENGTH = 6000

PROSE = (
    "compound", "formatstrings", "debugger", "attribute-access", "typesmapping", "execmodel",
    "string-methods", "import", "assignment", "comparisons", "types", "strings",
)  # fmt: skip
CODE = (
    "argparse", "heapq", "dataclasses", "tarfile", "csv", "fractions", "textwrap", "difflib",
    "configparser", "zipfile", "statistics", "sched",
)  # fmt: skip
LANGUAGES = ("fr", "ru", "de", "el", "es", "ar", "pl", "uk", "it", "pt_BR", "tr", "hu")


@dataclass(frozen=True)
class Text:
    """A piece of text.

    Attributes:
        kind: one of ``KINDS``.
        name: of the document it is the beginning of.
        text: at most ``LENGTH`` characters.
    """

    kind: str
    name: str
    text: str

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def pieces(kind: str, count: int | None = None) -> list[Text]:
    """Return the first ``count`` texts of a kind, or all, always in the same order.

    Raises:
        BadInput: the kind does not exist, or has too few texts; or Django is not installed where
            this runs, for ``multilingual``.
    """
    if kind not in KINDS:
        raise BadInput(f"There is no kind of text '{kind}'.{did_you_mean(kind, KINDS)}")
    names, read = KINDS[kind]
    if count is not None and not 1 <= count <= len(names):
        raise BadInput(
            f"There are only {len(names)} texts of {kind}: give 1 to {len(names)}, not {count}."
        )
    return [Text(kind, name, read(name)[:LENGTH]) for name in names[:count]]


def named(kind: str, name: str) -> Text:
    """The text of a kind with this name; BadInput if there is none."""
    for one in pieces(kind):
        if one.name == name:
            return one
    raise BadInput(f"There is no text '{name}' of {kind}.")


def _prose(name: str) -> str:
    return str(topics[name])


def _code(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise BadInput(f"The standard library here has no source of the module {name}.")
    source = Path(spec.origin).read_text(encoding="utf-8")
    starts = [at for word in ("\nclass ", "\ndef ") if (at := source.find(word)) >= 0]
    return source[min(starts) + 1 :]


def _messages(language: str) -> str:
    spec = importlib.util.find_spec("django")
    if spec is None or spec.origin is None:
        raise BadInput(
            "The multilingual texts come with Django, which is not installed: run 'make engines'."
        )
    sentences: dict[str, None] = {}
    for part in ("conf", "contrib/admin", "contrib/auth"):
        folder = Path(spec.origin).parent / part / "locale" / language / "LC_MESSAGES"
        with (folder / "django.mo").open("rb") as file:
            catalog = gettext.GNUTranslations(file)
        known: Mapping[object, str] = catalog._catalog  # type: ignore[attr-defined]
        # A message with plural forms has a key (message, form) for each.
        keys = sorted(key if isinstance(key, str) else key[0] for key in known if key)  # type: ignore[index]
        for key in keys:
            said = known.get(key) or known.get((key, 0)) or ""
            if len(said) > 24 and said != key:
                sentences[said] = None
    return "\n".join(sentences)


# -- tables ------------------------------------------------------------------------------------


def _entities() -> str:
    rows = (f"{name},{' '.join(f'U+{ord(c):04X}' for c in text)}"
            for name, text in sorted(html5.items()))  # fmt: skip
    return "entity,code points\n" + "\n".join(rows)


def _mime_types() -> str:
    # The defaults alone: a system's own files are not the same everywhere.
    known = mimetypes.MimeTypes().types_map[True]
    return "| extension | type |\n| --- | --- |\n" + "\n".join(
        f"| {extension} | {kind} |" for extension, kind in sorted(known.items())
    )


def _locales() -> str:
    known = sorted(locale.locale_alias.items())
    return "\n".join(f"{alias}\t{name}" for alias, name in known[::3])


def _codecs() -> str:
    return "alias;codec\n" + "\n".join(f"{a};{name}" for a, name in sorted(aliases.items()))


def _letters() -> str:
    rows = (
        f"U+{code:04X}  {unicodedata.category(chr(code))}  {unicodedata.name(chr(code))}"
        for code in range(0xA1, 0x180)
    )
    return "\n".join(rows)


def _statuses() -> str:
    return "code,phrase,description\n" + "\n".join(
        f'{one.value},"{one.phrase}","{one.description}"' for one in http.HTTPStatus
    )


def _year() -> str:
    return calendar.TextCalendar().formatyear(2024)


def _quantiles() -> str:
    law = NormalDist()
    return "z     Phi(z)   density\n" + "\n".join(
        f"{z / 100:.2f}  {law.cdf(z / 100):.5f}  {law.pdf(z / 100):.5f}" for z in range(350)
    )


def _code_page(name: str) -> str:
    heading = f"{name} | code point | character name\n"
    rows = []
    for byte in range(0x80, 0x100):
        char = bytes([byte]).decode(name, errors="replace")
        rows.append(f"0x{byte:02X} | U+{ord(char):04X} | {unicodedata.name(char, '-')}")
    return heading + "\n".join(rows)


def _primes() -> str:
    rows, found = ["  n   p(n)  gap"], [2]
    for number in range(3, 4000, 2):
        if all(number % p for p in found if p * p <= number):
            found.append(number)
            rows.append(f"{len(found):4d} {number:5d} {number - found[-2]:4d}")
    return "\n".join(rows)


_TABLES: Mapping[str, Callable[[], str]] = {
    "html entities": _entities,
    "mime types": _mime_types,
    "locale aliases": _locales,
    "codec aliases": _codecs,
    "latin letters": _letters,
    "http statuses": _statuses,
    "calendar": _year,
    "normal distribution": _quantiles,
    "code page 437": lambda: _code_page("cp437"),
    "primes": _primes,
    "code page 1251": lambda: _code_page("cp1251"),
    "code page koi8-r": lambda: _code_page("koi8-r"),
}

#: of each kind the names of its texts, and how one is read
KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "prose": (PROSE, _prose),
    "code": (CODE, _code),
    "tables": (tuple(_TABLES), lambda name: _TABLES[name]()),
    "multilingual": (LANGUAGES, _messages),
}
