"""Real implementations by other people, each behind the compressor contract.

Nothing here is imported by the core: an engine's module is loaded in the engine's own interpreter,
where its packages are (see ``environments``).
"""
