"""``python -m kvbarrier``."""

from .cli import main

main()
