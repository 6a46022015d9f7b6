"""Codecs of plain arrays, with the attention done by us."""

from ..scheme import Scheme

SCHEME = Scheme(
    "codec",
    title="codecs",
    module="cache",
    cls="CodecCache",
    probes=(),
    needs="the published codecs of the table",
    example="codec:module:Class?bits=4",
    shares=True,
)
