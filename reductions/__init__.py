"""What is hard, and by how much: pure mathematics, with no I/O, no processes and no plug-ins.

``keys``          public key sets and their exact Gram spectra
``interference``  S_i(C) and the tight query scale
``margins``       the exact margin conditions M01, M+-, A01, A+- and the closed scale (ours)
``paper``         the paper's delta, Delta, scale and dimension, under its letters
``scale``         the query scale actually used, checked against float32
``index``         the Index reduction: Alice's stream, Bob's queries and thresholds
``bounds``        Fano's line, the no-hypercompression bound, what codes achieve
``attention``     exact attention and sliding-window attention: the definitions

Statements and proofs are in docs/theory.md. Nothing here is imported before it is asked for.
"""

#: reduction -> the rule of attention that its answers are held to, and what it hides where
REDUCTIONS = {
    "index": ("softmax", "Theorems 6 and 8, and an additive form: bits in the values"),
    "heavy-hitters": (
        "softmax",
        "planted: an eighth of the tokens is attended to, and is what is asked for",
    ),
    "clusters": ("softmax", "planted: sixteen tokens a cluster, close keys, one value"),
    "recency": ("softmax", "planted: the last eighth of the tokens is what is asked for"),
    "sliding-window": (
        "unmasked-window",
        "Theorem 17: bits in the values of an unmasked sliding window",
    ),
    "sliding-layers": (
        "softmax",
        "layers that slide beside layers that attend to all: each is asked for what it holds",
    ),
    "tensor": ("tensor", "tensor attention (2503.11108): bits in both value caches"),
    "visual": (
        "softmax",
        "visual autoregression (2503.14881): a whole map of questions at once",
    ),
    "gaussian": (
        "softmax",
        "the average case: Gaussian keys, drawn anew for each message, and queries of norm beta",
    ),
    "key-payload": ("softmax", "bits in keys and values: a public address a key, and a payload"),
    "own-keys": (
        "softmax",
        "a model's own keys, from a file: bits in the values of the tokens that they certify",
    ),
}
