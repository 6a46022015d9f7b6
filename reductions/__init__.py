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
