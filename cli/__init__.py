"""The command line: parse, call, print. It has no mathematics.

Each verb is a module of this folder, imported only when it is called, so that ``kvbarrier --help``
loads click and nothing else.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from ..errors import BadInput, HarnessFault, KVBarrierError, did_you_mean
from .render import print_json, printed, readable, say

VERBS = {
    "attack": "Attack a compressor: secret bits in, wrong bits out, every byte counted.",
    "check": "Examine a cache: does it hold what it is given, and if not, where?",
    "compare": "Play several compressors in the same game; mark those that no other beats.",
    "bound": "Compute the limit at a size: scale, secret bits, bits that no algorithm can save.",
    "capture": "Keep the keys, queries and values of a real model on a text in a file.",
    "verify": "Check a certificate again, and say in one sentence what it proves.",
    "experiments": "Run all experiments, draw all figures and print the table of claims.",
    "regress": "Measure the committed baselines again, message by message, and the claims.",
    "replay": "Play one batch of a results file again and compare it with its row.",
    "plot": "Draw error against memory from results files.",
    "report": "Rank the points of results files on one page.",
    "list": "List names: compressors, readers, engines, reductions, keys, experiments.",
    "new": "Write a commented plug-in to start from.",
}
MODULES = {"list": "listing", "new": "template"}

EXIT_CODES = """\b
Exit codes:
  0  fine
  1  a gate, a claim or a declaration failed, or a baseline moved
  2  bad usage or bad input
  3  the plug-in failed, or its behaviour changed during the attack
  4  impossible memory: a hidden channel, or a bug in kvbarrier
  70 a bug in kvbarrier (KVBARRIER_DEBUG=1 shows the traceback)
  130, 143  interrupted; finished batches are kept, run again to continue
  141 the reader of the output went away"""


class Verbs(click.Group):
    """A click group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order in which a new user needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb; None for an unknown one."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f".{MODULES.get(cmd_name, cmd_name)}", __name__)
        command: click.Command = module.command
        if ctx is not None and not ctx.resilient_parsing:
            from .config import defaults_of

            ctx.default_map = {cmd_name: defaults_of(cmd_name, command)}
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """As click does it, which prints the help here."""
        with _reader_may_go():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it."""
        with _reader_may_go():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb when an unknown one is given."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            raise BadInput(f"there is no verb '{args[0]}'.{did_you_mean(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their one-line help, importing none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@contextmanager
def _reader_may_go() -> Iterator[None]:
    """Whoever reads our output may end before us: then we end as by SIGPIPE.

    click's own answer is exit code 1, which is that of a gate that failed.
    """
    try:
        yield
    except BrokenPipeError:
        # Without a second error at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(128 + signal.SIGPIPE)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from .. import __version__

        click.echo(f"kvbarrier {__version__}")
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True,
    help="Show the version and exit.",
)  # fmt: skip
def cli() -> None:
    """Measure any KV-cache compressor against the memory lower bound it cannot beat.

    The theorem is Haris & Onak, Compression Barriers in Autoregressive Transformers, COLT 2025.
    """


def _fill_closed_streams() -> None:
    """Open what the shell closed: else a file that we open next becomes the output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))  # noqa: SIM115


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; every expected error is one sentence."""
    _fill_closed_streams()
    # Other packages' warnings go on with tracebacks: the first line says what it is about.
    warnings.formatwarning = lambda message, *_, **__: (
        f"kvbarrier: {readable(str(message).partition(chr(10))[0])}\n"
    )
    printed(forget=True)
    try:
        code = cli.main(args=argv, prog_name="kvbarrier", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        _complain(error.format_message(), None, name="")
        sys.exit(2)
    except click.ClickException as error:
        from .usage import sentence_of

        _complain(sentence_of(error), None)
        _document(argv, sentence_of(error), 2)
        sys.exit(2)
    except KVBarrierError as error:
        if isinstance(error, HarnessFault) and os.environ.get("KVBARRIER_DEBUG"):
            raise
        _complain(str(error), getattr(error, "detail", None))
        _document(argv, str(error), error.exit_code)
        if getattr(error, "abandoned", 0):
            # Threads still wait for batches that nobody wants any more; their players die with us.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(error.exit_code)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted; finished batches are kept. Run the same command to continue.", None)
        sys.exit(130)
    except OSError as error:
        # Our own files are named by whoever writes them.
        name = error.filename or "the output"
        _complain(
            f"{name}: {error.strerror or error}; use another path or free some space there.", None
        )
        sys.exit(2)
    except MemoryError as error:
        _complain(f"this size does not fit into memory ({error}): use a smaller --n or --d.", None)
        sys.exit(2)
    except Exception as error:
        if os.environ.get("KVBARRIER_DEBUG"):
            raise
        if package := _not_imported(error):
            _complain(
                f"{package} cannot be imported here ({type(error).__name__}: {error}): repair "
                "its installation, or the environment variable that it reads.",
                None,
            )
            sys.exit(2)
        _complain(
            f"a bug in kvbarrier ({type(error).__name__}: {error}); please report it, with the "
            "command and the traceback that KVBARRIER_DEBUG=1 shows.",
            None,
        )
        sys.exit(70)


def _not_imported(error: BaseException) -> str:
    """The installed package that failed on its import; nothing where our own code failed."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        _, installed, path = frame.filename.rpartition("site-packages" + os.sep)
        if frame.filename.startswith("<frozen "):
            continue
        if not installed:
            return ""
        if frame.name == "<module>":
            return path.partition(os.sep)[0].removesuffix(".py")
    return ""


def _document(argv: list[str] | None, sentence: str, code: int) -> None:
    """Where a program waits for JSON, it gets the error as JSON: one document, whatever happens."""
    if "--json" in (sys.argv[1:] if argv is None else argv) and not printed():
        with suppress(OSError):
            print_json({"schema": 1, "error": sentence, "exit_code": code})


def _complain(sentence: str, detail: str | None, name: str = "kvbarrier: ") -> None:
    # Where nothing can be said, the exit code still can.
    with suppress(OSError):
        say(f"{name}{sentence}")
        if detail:
            say(detail)
