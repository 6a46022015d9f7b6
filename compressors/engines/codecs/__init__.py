"""Published codecs, each described in a few lines (``codec_contract`` says how).

A file here is imported only where its package is installed: in the environment ``codecs``.
"""
