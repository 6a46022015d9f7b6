"""The packages of the wheel: every folder of the house that has an ``__init__.py``.

The repository's root is the package ``kvbarrier``, so setuptools cannot find them by itself, and
would ship this file as one of its modules.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOMS = ("reductions", "compressors", "protocols", "runs", "experiments", "figures", "cli")
FOLDERS = sorted(file.parent for room in ROOMS for file in Path(room).rglob("__init__.py"))


class Build(build_py):
    """Leaves this file out."""

    def find_package_modules(self, package, package_dir):
        """(package, module, file) of every module."""
        found = super().find_package_modules(package, package_dir)
        return [one for one in found if one[:2] != ("kvbarrier", "setup")]


setup(
    cmdclass={"build_py": Build},
    package_dir={"kvbarrier": "."},
    packages=["kvbarrier", *(".".join(("kvbarrier", *folder.parts)) for folder in FOLDERS)],
)
