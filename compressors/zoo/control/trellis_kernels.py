"""Numba kernels of a rate-1/2 convolutional code: the nearest codeword by Viterbi, and back.

The register holds m + 1 bits, the newest on top: r = (u << m) | s, s the last m input bits. A step
puts out the parities of r & g_0 and r & g_1, and the next state is r >> 1. Integers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit


@njit(cache=True, nogil=True, error_model="numpy")
def step_symbols(m: Any, g0: Any, g1: Any) -> Any:
    """What each register content puts out: uint8[2^(m+1)], 2 parity(r & g0) + parity(r & g1)."""
    symbols = np.zeros(1 << (m + 1), np.uint8)
    for r in range(1 << (m + 1)):
        first, second = 0, 0
        for bit in range(m + 1):
            first ^= (r >> bit) & (g0 >> bit) & 1
            second ^= (r >> bit) & (g1 >> bit) & 1
        symbols[r] = 2 * first + second
    return symbols


@njit(cache=True, nogil=True, error_model="numpy")
def nearest(words: Any, symbols: Any, m: Any, choices: Any, inputs: Any) -> Any:
    """The input bits whose codeword is nearest to the words, by Viterbi's algorithm.

    Starts in state 0, ends anywhere. Of equal paths the one whose older bit is 0 survives, and the
    lowest of equal end states wins.

    Args:
        words: uint8[T], two source bits each, 2 x_0 + x_1.
        symbols: uint8[2^(m+1)] of :func:`step_symbols`.
        m: memory; 2^m states.
        choices: uint8[T, 2^m], written: the older bit of each survivor.
        inputs: uint8[T], written.

    Returns the distance in bits.
    """
    states = 1 << m
    mask = states - 1
    far = 1 << 30
    metric = np.full(states, far, np.int32)
    metric[0] = 0
    fresh = np.empty(states, np.int32)
    cost = np.empty(4, np.int32)
    for t in range(words.shape[0]):
        for symbol in range(4):
            apart = symbol ^ int(words[t])
            cost[symbol] = (apart & 1) + (apart >> 1)
        for new in range(states):
            register = (new >> (m - 1) << m) | ((new << 1) & mask)
            zero = metric[register & mask] + cost[symbols[register]]
            one = metric[(register & mask) | 1] + cost[symbols[register | 1]]
            fresh[new] = min(zero, one)
            choices[t, new] = 1 if one < zero else 0
        metric, fresh = fresh, metric
    state = 0
    for s in range(states):
        if metric[s] < metric[state]:
            state = s
    best = metric[state]
    for t in range(words.shape[0] - 1, -1, -1):
        inputs[t] = state >> (m - 1)
        state = ((state << 1) & mask) | int(choices[t, state])
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def codeword(inputs: Any, symbols: Any, m: Any, words: Any) -> None:
    """The codeword of input bits uint8[T], into words uint8[T], two bits each."""
    state = 0
    for t in range(inputs.shape[0]):
        register = (int(inputs[t]) << m) | state
        words[t] = symbols[register]
        state = register >> 1
