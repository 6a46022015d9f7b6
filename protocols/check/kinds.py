"""What ``kvbarrier check`` may find: for each kind when it is raised, why it matters, what to do.

The table in docs/writing-a-compressor.md is made from here; ``kinds_of_laws`` has those of the
examination.
"""

from __future__ import annotations

from .kind import Kind
from .kinds_of_laws import LAWS

_ALL = (
    Kind(
        "not-loaded", "error", "It cannot be loaded",
        "Its file does not import, or what it names lacks append or attend, or cannot be called as "
        "the contract says.",
        "Nothing else can be tried before that.",
        "Fix what the finding names; 'kvbarrier new FILE.py' writes a plug-in that works.",
    ),
    Kind(
        "raises", "error", "It raises an exception",
        "The constructor or one of the methods raises on an ordinary stream.",
        "An attack counts the message as failed: all its bits are guessed.",
        "Fix the line that the finding names.",
    ),
    Kind(
        "bad-declaration", "error", "Its declaration cannot be read",
        "declares has an unknown word, a value of a wrong form, or words that contradict each "
        "other.",
        "Nothing can be held against it, and an attack refuses the class.",
        "Write it as the sentence says, or leave it out.",
    ),
    Kind(
        "fails-at-budget", "error", "It raises an exception at a small budget",
        "At 1/64, 1/16, 1/4 or all of the 16-bit cache it raises an exception other than "
        "BudgetTooSmall.",
        "An attack plays the budgets in which a compressor can live, and asks it which these are.",
        "Raise kvbarrier.BudgetTooSmall where it cannot live (tokens_within does it for you).",
    ),
    Kind(
        "crashes", "error", "Its process dies",
        "The process that runs it ends: a signal, os._exit, no more memory.",
        "An attack counts the message as failed.",
        "Look at what it printed last; native code that crashes shows its line with faulthandler.",
    ),
    Kind(
        "hangs", "error", "It does not come to an end",
        "It takes longer than the time limit on streams of at most 256 tokens.",
        "An attack stops it at its own limit and counts the message as failed.",
        "Fix the loop that the finding names, or give more time (--timeout).",
    ),
    Kind(
        "wrong-output", "error", "The answers have a wrong shape or type",
        "attend does not return d_v real numbers, or a next_outputs of its own not [m, d_v].",
        "The game reads coordinate j of the answer as bit j of a value.",
        "Return an array of shape [d_v]; d_v is shape.d_v, and need not be d_k.",
    ),
    Kind(
        "not-finite", "error", "The answers are not finite",
        "An answer holds NaN or infinity, on an ordinary stream or with scores of some hundreds.",
        "The game's queries are long, so that one key stands out, and exp overflows.",
        "Subtract the largest score before exp: w = exp(s - s.max()).",
    ),
    Kind(
        "not-deterministic", "error", "The same input and seed give another result",
        "Two runs with equal public coins differ, in one process or in two.",
        "Alice's and Bob's instances have nothing in common but the public coins, and a result "
        "that cannot be replayed cannot be believed.",
        "Draw every random number from self.rng(t), or seed a generator with seed.",
    ),
    Kind(
        "extend-differs", "error", "extend and the append loop differ",
        "extend(Q, K, V) leaves another state than append on each row in order.",
        "A streaming algorithm sees one token at a time; the game uses extend.",
        "Make extend the same algorithm, or say streaming = False if it is a batch algorithm.",
    ),
    Kind(
        "batch-differs", "error", "A batched door differs from the loop",
        "next_outputs or block_outputs does not answer as append and attend on a copy do.",
        "The game asks through next_outputs: it would attack another algorithm than yours.",
        "Row r of next_outputs is the answer if triple r came next, each on a copy of the state.",
    ),
    Kind(
        "asking-changes-it", "error", "Asking changes the state",
        "Questions, in next_outputs or between appends, change the message or the answers.",
        "Every question must be answered from the same state: Bob asks about one bit at a time.",
        "Work on a copy in next_outputs, and forget at each append what attend remembers.",
    ),
    Kind(
        "restore-differs", "error", "restore does not bring the state back",
        "A fresh instance that restored the message answers differently, in the same process.",
        "Bob only has the message.",
        "Put all that append changes into the message; without save and restore of your own all "
        "attributes are packed.",
    ),
    Kind(
        "state-elsewhere", "error", "State lives outside the message",
        "Answers are right in the process that saw the stream and wrong in a fresh one, or "
        "change when another instance sees another stream.",
        "A module global, a class attribute or a file is memory that nobody is charged for; "
        "Bob, in another process, does not have it.",
        "Keep all state in attributes of the instance, and draw random numbers from self.rng(t): a "
        "generator of a module is state, too.",
    ),
    Kind(
        "cut-differs", "error", "A stream that is cut ends in another state",
        "After save in the middle, restore on a fresh instance and the rest of the stream, the "
        "answers differ from those of the uncut run.",
        "Memory is charged at cuts as well: a streaming algorithm may be stopped anywhere.",
        "Save what append needs to go on, or say streaming = False if it is a batch algorithm.",
    ),
    Kind(
        "not-plain", "error", "An attribute is not plain data",
        "The default save meets a function, a random generator, a tensor or another object.",
        "Messages are data: numbers, text, NumPy arrays and containers of them, never pickles.",
        "Do what the sentence says, or write save and restore.",
    ),
    Kind(
        "bad-message", "error", "save does not return bytes",
        "save returns something other than bytes.",
        "Its length is what is charged.",
        "Return bytes, such as array.tobytes().",
    ),
    Kind(
        "declared-length", "error", "A message is not as long as declared",
        "message_bytes is set and a message has another length, or message_bytes is not a length.",
        "The declaration saves the price of the length because every message keeps it; a message "
        "of another length counts as failed.",
        "Compute message_bytes from shape and budget, or leave it out.",
    ),
    Kind(
        "over-budget", "error", "The message is over the budget",
        "Its message depends on the budget, and at some budget the charged bits are more than "
        "budget_bits and nothing was raised.",
        "A curve over budgets shows something only if every message keeps to its budget.",
        "tokens_within(budget_bits, bits_per_token) leaves room for the framing; raise "
        "kvbarrier.BudgetTooSmall where it cannot live.",
    ),
    Kind(
        "scaled-scores", "error", "Scores are divided by sqrt(d)",
        "The answer on two tokens is the softmax of q·k / sqrt(d_k).",
        "The paper's attention has no 1/sqrt(d), and the game's queries are scaled for that: "
        "after the division no key stands out, and every bit is lost.",
        'Multiply the scores by public["softmax_scale"] (1.0 in the game) instead.',
    ),
    Kind(
        "sends-public", "warning", "The message holds what is public",
        "Some 64 bytes or more in a row, empty slots left out, are the same in the messages of two "
        "unlike streams.",
        "What both sides can make from shape, seed and public needs no sending: it is charged.",
        "Make it in __init__, where a fresh instance has it too, and leave it out of your save.",
    ),
    Kind(
        "other-shapes", "warning", "It fails when d_k and d_v differ",
        "It raises, or answers in a wrong shape, for d_k = 12 and d_v = 20, and for 32 and 64.",
        "Some reductions widen the keys or the values.",
        "Use shape.d_k for keys and shape.d_v for values.",
    ),
    Kind(
        "odd-widths", "note", "It does not take every width",
        "It raises, or answers in a wrong shape, for d_k = 12 and d_v = 20, and takes 32 and 64.",
        "It works in groups of channels, as many do.",
        "Nothing, if models with such widths are not meant.",
    ),
    Kind(
        "several-heads", "error", "It fails where a token has several heads",
        'A class with layout = "heads" raises, answers in a wrong shape, or answers differently in '
        "next_outputs, for 2 layers of 2 heads.",
        "It asked for the whole token: arrays then have (layers, kv_heads) before d.",
        "Take q, k as [layers, kv_heads, d_k] and answer [layers, kv_heads, d_v]; or leave layout "
        "out, and one head at a time is what you get.",
    ),
    Kind(
        "knows-keys", "note", "It was tried on the game's own streams only",
        "The class says knows_keys = True: it reads the public keys.",
        "Arbitrary streams mean nothing to it; a real cache must not do this.",
        "Nothing, for a control.",
    ),
    Kind(
        "ignores-budget", "note", "It has one size, whatever the budget",
        "Its message is as long at 1/64 of the 16-bit cache as at all of it, and over some budget.",
        "It is one point of a curve. An attack plays it once, without a budget, if its constructor "
        "takes no budget_bits; else it marks each point that is over its budget.",
        "Nothing. To have a curve, take budget_bits in the constructor and keep to it.",
    ),
    Kind(
        "no-budget", "note", "It lives in none of the budgets tried",
        "BudgetTooSmall is raised at 1/64, 1/16, 1/4 and all of the 16-bit cache.",
        "Nothing could be said about keeping budgets.",
        "Nothing, if it needs more than a 16-bit cache.",
    ),
    *LAWS,
)  # fmt: skip

KINDS = {kind.code: kind for kind in _ALL}


def table() -> str:
    """All kinds as a Markdown table."""
    head = "| code | severity | raised if | why | what to do |\n| --- | --- | --- | --- | --- |\n"
    rows = (
        f"| `{k.code}` | {k.severity} | {k.raised_if} | {k.why} | {k.what_to_do} |" for k in _ALL
    )
    return head + "\n".join(rows) + "\n"
