"""Turn the target on the command line into a factory of compressors.

    exact                        a name from the catalog, or one that an installed package registers
                                 under the entry-point group ``kvbarrier.compressors``
    package.module:Class         importable, the working folder included
    path/to/file.py:Class        a file; its folder is importable
    path/to/file.py              the same, if only one class or function fits
    hf:dynamic, kvpress:Name     an engine's (``engines.schemes``), played where it is installed
    engine:name                  from the entry-point group ``kvbarrier.engines``
    ...?bits=4&window=8          parameters, on every form

A function in place of the class is the two-function form: ``compress``, with the ``attend`` of the
same module if it has one.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import BadInput, PluginFailure, did_you_mean
from . import catalog
from .catalog_entry import CatalogEntry
from .engines.scheme import Scheme
from .engines.schemes import REGISTERED, scheme_of
from .plugin.adapters import Factory, adapt
from .plugin.blame import blame, is_ours
from .plugin.code_identity import identity
from .plugin.contract import Compressor, Shape
from .plugin.loading import classes_with, existing, load_file, load_module, source_files
from .plugin.signature import Signature
from .plugin.values import merge, parse_query
from .readers.catalog import READERS, is_reader

COMPRESSORS_GROUP = "kvbarrier.compressors"
ENGINES_GROUP = "kvbarrier.engines"


@dataclass(frozen=True)
class Target:
    """A compressor that can be built in any process from public data.

    Attributes:
        name: short, for tables: ``exact``, ``cache.py:Mine``, ``package.module:Class``.
        text: the target without its parameters, with an absolute path: resolves to the same.
        params: the plug-in's own parameters, sorted by name.
        source: 16 hexadecimal digits (:mod:`.code_identity`): the files that define the class or
            function, with what their imports reach of our package if it is ours, of the files
            beside it if not, and its distribution's version if it is installed.
        folder: the folder of the plug-in's file, if it has one.
        knows_keys: it reads the game's public keys (see ``Compressor.knows_keys``).
        files, version: what ``source`` is the digest of (``code_identity.identity``).
    """

    name: str
    text: str
    params: Mapping[str, Any]
    source: str
    folder: Path | None
    knows_keys: bool
    _factory: Factory = field(repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    version: str = ""

    @property
    def budgeted(self) -> bool:
        """Whether the constructor takes ``budget_bits``."""
        return any(s.anything or "budget_bits" in s.names for s in self._factory.takes)

    def factory(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Compressor:
        """Build one; ``params`` beside those of the target.

        Raises:
            BudgetTooSmall: the compressor does not fit into the budget.
            BadInput: it does not have this parameter.
            PluginFailure: its constructor raised.
        """
        joined = merge(self.params, params, self.text)
        self._factory.refuse_unknown(joined)
        self._factory.refuse_missing(joined)
        return self._factory(shape, budget_bits, seed, public, **joined)


def resolve(target: str, params: Mapping[str, Any] | None = None) -> Target:
    """Find what is named, import it and check the names of the parameters that are given.

    ``params`` are joined with those of the text; their words are read as numbers, true, false or
    none if possible.

    Raises:
        BadInput: the file, module, class, name or parameter does not exist.
        PluginFailure: the plug-in cannot be imported or lacks a method; ``detail`` has its
            traceback.
    """
    text, mark, query = target.partition("?")
    joined = merge(parse_query(query, target) if mark else {}, params or {}, target)
    found = _find(text)
    found._factory.refuse_unknown(joined)
    return replace(found, params=joined)


def _find(text: str) -> Target:
    if not text:
        raise BadInput(
            "the name of the compressor is empty: give a file, my_cache.py, or a name that "
            "'kvbarrier list compressors' shows."
        )
    scheme = scheme_of(text)
    if scheme is not None:
        return _scheme(scheme, text)
    if text.startswith(REGISTERED):
        return _engine(text)
    path, colon, name = text.rpartition(":")
    if colon and not (path and name):
        raise BadInput(
            f"'{text}' names nothing on one side of the colon: write my_cache.py:MyCache, or "
            "my_cache.py alone."
        )
    if colon and path.endswith(".py"):
        return _in_file(Path(path), name)
    if text.endswith(".py"):
        return _in_file(Path(text), None)
    if colon:
        return _in_module(path, name)
    return _named(text)


def _named(name: str) -> Target:
    if name in catalog.names():
        entry = catalog.entry(name)
        thing = entry.cls
        made, files = _adapted(thing, name)
        factory = replace(made, make=_checked(entry, thing), ours=True)
        source = identity(files)
        return Target(name, name, {}, source, None, thing.knows_keys, factory, files)
    registered = _entry_points(COMPRESSORS_GROUP)
    if name in registered:
        return _from_entry_point(registered[name], name)
    raise _unknown(name, {*catalog.names(), *registered})


@cache
def _adapted(cls: type[Compressor], name: str) -> tuple[Factory, tuple[Path, ...]]:
    """Of a class of ours, which stays what it is: its factory and its files."""
    return adapt(cls, name), tuple(_our_files(cls))


def refuse_missing(target: str) -> None:
    """Raise BadInput for a name or a file that is not there; no code of it is imported.

    >>> refuse_missing("h2o?heavy=8"), refuse_missing("H2O")
    Traceback (most recent call last):
    kvbarrier.errors.BadInput: there is no compressor 'H2O'. Did you mean 'h2o'? \
'kvbarrier list compressors' shows all; a file's name ends in .py.
    """
    text = target.partition("?")[0]
    path, colon, _ = text.rpartition(":")
    file = path if colon else text
    if file.endswith(".py"):
        existing(Path(file))
    elif not colon and text not in (known := {*catalog.names(), *_entry_points(COMPRESSORS_GROUP)}):
        raise _unknown(text, known)


def _unknown(name: str, known: Collection[str]) -> BadInput:
    if Path(name).exists():
        return BadInput(f"{name} is not a Python file: give a name that ends in .py.")
    if name in READERS:
        return _no_compressor(name)
    if Path(f"{name}.py").is_file():
        return BadInput(f"there is no compressor '{name}'. Did you mean the file {name}.py?")
    hint = did_you_mean(name, known)
    return BadInput(
        f"there is no compressor '{name}'.{hint} 'kvbarrier list compressors' shows all; a file's "
        "name ends in .py."
    )


def _checked(entry: CatalogEntry, cls: type[Compressor]) -> Any:
    def build(
        shape: Shape, budget_bits: int | None, seed: int, public: Mapping[str, Any], **params: Any
    ) -> Compressor:
        entry.check_rule(public)
        return cls(shape, budget_bits, seed, public, **params)

    return build


def _scheme(scheme: Scheme, text: str) -> Target:
    """An engine's thing: the words behind the scheme go to the engine's class as ``what``."""
    what = text.partition(":")[2]
    if not what:
        raise BadInput(f"{text} has no name after the colon: write, for example, {scheme.example}.")
    try:
        engine = scheme.load()
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{text} needs {error.name}, which is not installed in the engine's environment: "
            f"run 'make engines', or pip install 'kvbarrier[{scheme.name}]'."
        ) from None
    place, colon, name = what.rpartition(":")
    if what.endswith(".py") or not colon:
        # The name may be left out.
        place, colon, name = what, "", ""
    authors = _authors_file(place)
    # It is built where the working folder is another one.
    whole = f"{authors}{colon}{name}" if place.endswith(".py") else what

    def make(*args: Any, **params: Any) -> Compressor:
        made: Compressor = engine.adapter(params)(*args, what=whole, **params)
        return made

    # An engine judges its parameters itself: they may be for somebody's class behind it.
    factory = Factory(text, make, (Signature((), (), anything=True),), layout=engine.layout)
    files = _our_files(engine) + ([authors] if authors else [])
    return Target(
        name=text,
        text=text,
        params={},
        source=identity(files),
        folder=authors.parent if authors and not is_ours(str(authors)) else None,
        knows_keys=False,
        _factory=factory,
        files=tuple(dict.fromkeys(files)),
    )


def _authors_file(place: str) -> Path | None:
    """The file of an author's class behind a scheme: ``path.py`` or a dotted module.

    Raises BadInput for a file that is not there.
    """
    if place.endswith(".py"):
        return existing(Path(place))
    try:
        spec = importlib.util.find_spec(place) if place else None
    except Exception:  # a package that fails on import is told of where it is needed
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _engine(text: str) -> Target:
    name = text.removeprefix(REGISTERED)
    engines = _entry_points(ENGINES_GROUP)
    if name not in engines:
        known = did_you_mean(name, engines) if engines else " None is installed here."
        raise BadInput(
            f"there is no engine '{name}': packages register engines under the entry-point "
            f"group {ENGINES_GROUP}.{known}"
        )
    return _from_entry_point(engines[name], text)


def _entry_points(group: str) -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=group)}


def _from_entry_point(point: metadata.EntryPoint, text: str) -> Target:
    try:
        thing = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise blame(error, f"importing {point.value}") from error
    version = "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return _target(thing, text, text, version, inspect.getmodule(thing))


def _in_module(path: str, name: str) -> Target:
    module = load_module(path)
    thing = _member(module, name, path)
    return _target(thing, f"{path}:{name}", f"{path}:{name}", _version(path), module)


def _in_file(path: Path, name: str | None) -> Target:
    module = load_file(path)
    if name is None:
        name = _only_candidate(module, path.name)
    thing = _member(module, name, path.name)
    return _target(thing, f"{path.name}:{name}", f"{path.resolve()}:{name}", "", module)


def _member(module: ModuleType, name: str, where: str) -> Any:
    thing = getattr(module, name, None)
    if thing is not None and not isinstance(thing, ModuleType):
        return thing
    classes = [n for n, thing in vars(module).items() if inspect.isclass(thing)]
    hint = did_you_mean(name, _candidates(module) or classes) if classes else ""
    raise BadInput(f"{where} has no class '{name}'.{hint}")


def _candidates(module: ModuleType) -> list[str]:
    """What can be meant by the file alone: classes made there to be attacked, or ``compress``."""
    classes = classes_with(module, "append", "attend")
    own = inspect.isfunction(getattr(module, "compress", None))
    return [*classes, "compress"] if own else classes


def _only_candidate(module: ModuleType, file: str) -> str:
    names = _candidates(module)
    if len(names) == 1:
        return names[0]
    if names:
        raise BadInput(f"{file} has {len(names)} compressors: write {file}:NAME with one of "
                       f"{', '.join(names)}.")  # fmt: skip
    if any(is_reader(thing) for thing in vars(module).values()):
        raise _no_compressor(file)
    made = _methods(module)
    has = "".join(f" {name} has {', '.join(methods)}." for name, methods in made if methods)
    raise PluginFailure(
        f"{file} has no compressor.{has}{_as_codec(file, made)} Write a class with append(k, v) or "
        "append(q, k, v), and attend(q), or a function compress(Q, K, V); 'kvbarrier new FILE.py' "
        "writes one to start from."
    )


def _as_codec(file: str, made: list[tuple[str, list[str]]]) -> str:
    from .engines.codec.calling import PAIRS

    for name, methods in made:
        if any({*pair} <= {*methods} for pair in PAIRS):
            return f" As a codec of arrays it plays by the name codec:{file}:{name}."
    return ""


def _methods(module: ModuleType) -> list[tuple[str, list[str]]]:
    """The public methods of each class that a module makes."""
    made = [thing for thing in vars(module).values()
            if inspect.isclass(thing) and thing.__module__ == module.__name__]  # fmt: skip
    return [
        (cls.__name__, [n for n, f in vars(cls).items() if callable(f) and not n.startswith("_")])
        for cls in made
    ]


def _no_compressor(name: str) -> BadInput:
    return BadInput(
        f"{name} is a reader (it has answer, and no attend), not a compressor: attack it with "
        "--reduction indistinguishability."
    )


def _target(thing: Any, name: str, text: str, version: str, module: ModuleType | None) -> Target:
    if isinstance(thing, ModuleType):
        thing = getattr(thing, _only_candidate(thing, thing.__name__))
    if is_reader(thing):
        raise _no_compressor(name)
    files = _foreign_files(thing, module)
    attend = None if inspect.isclass(thing) else getattr(module, "attend", None)
    factory = adapt(thing, name, attend, str(files[0]) if files else None)
    parts = tuple(files or _our_files(thing))
    version = version if files else ""
    return Target(
        name=name,
        text=text,
        params={},
        source=identity(parts, version),
        folder=files[0].parent if files else None,
        knows_keys=bool(getattr(thing, "knows_keys", False)),
        _factory=factory,
        files=parts,
        version=version,
    )


def _foreign_files(thing: Any, module: ModuleType | None) -> list[Path]:
    """The files of a plug-in: its class's and bases', and where it was named, which may patch."""
    files = [file for file in source_files(thing) if not is_ours(str(file))]
    named = getattr(module, "__file__", None)
    if named and not is_ours(str(Path(named).resolve())):
        files.append(Path(named).resolve())
    return list(dict.fromkeys(files))


def _version(module: str) -> str:
    names = metadata.packages_distributions().get(module.partition(".")[0], [])
    return ", ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names)))


def _our_files(thing: object) -> list[Path]:
    return [file for file in source_files(thing) if is_ours(str(file))]
