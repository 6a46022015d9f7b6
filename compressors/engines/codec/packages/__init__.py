"""Published codecs, each described in a few lines (``codec.contract`` says how).

A file here is imported only where its package is installed: in the environment ``codecs``.
"""
