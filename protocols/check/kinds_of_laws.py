"""The kinds of findings of the laws (``laws/``), where each is proved."""

from __future__ import annotations

from .kind import Kind

LAWS = (
    Kind(
        "counterexample", "error", "It does not hold what it declares",
        "A bit of a token that is declared held is read wrong, at a scale at which every answer "
        "within the tolerance reads it right.",
        "One wrong bit refutes a declaration: no statistics are needed.",
        "Fix the cache, or declare what it holds.",
    ),
    Kind(
        "comes-back", "error", "Tokens are lost and come back",
        "A quarter of a token's bits or more read wrong at some length, and all of them right at a "
        "greater one.",
        "What comes back was held all the time: the answers in between were computed without it.",
        "Look at what depends on the length: the last block, a mask, an index.",
    ),
    Kind(
        "reads-in-part", "note", "It answers by a part of what it holds",
        "Tokens are lost and come back, and tokens differ in weight at q = 0.",
        "A method that samples, hashes or clusters does so on purpose.",
        "Nothing, if that is intended.",
    ),
    Kind(
        "foreign-mass", "error", "Rows are attended to that nobody appended",
        "A channel that is 1 in every value does not come out as 1 at short queries.",
        "The answer is a mixture with empty slots or stale rows: the softer the scores, the worse.",
        "Mask what holds no token: leave its score out of the softmax.",
    ),
    Kind(
        "key-damaged", "error", "Tokens are attended to but do not answer to their own keys",
        "A token has its weight at q = 0 and less than half of it at its own key, though no bits "
        "were saved by that.",
        "Scores are computed with other keys than those appended.",
        "Look at what changes stored keys: a rotation, a shift, a scale, an index of keys.",
    ),
    Kind(
        "value-damaged", "error", "Tokens are attended to and have lost their values",
        "One append loses half of the tokens that answered before, whose rows are all still "
        "attended to, though no bits were saved by that.",
        "The values of these rows were moved or overwritten.",
        "Look at what copies values: a buffer that grows, a layout, a page.",
    ),
    Kind(
        "bits-swapped", "error", "The bits of keys and values are exchanged",
        "Parameters give keys and values their bits, and the keys come back as wrong as with the "
        "bits of the values, and the values as right as with the bits of the keys.",
        "The memory is the same, and what was meant to be kept well is not.",
        "Compare the order in which the two are passed on.",
    ),
    Kind(
        "wrong-scale", "error", "Numbers come back right in shape and wrong in scale",
        "A block of numbers correlates with what was appended and is multiplied by another factor; "
        "tried with gains of 1/10 to 10 for every token and group of channels.",
        "Bits of one magnitude do not show it; the values and keys of models do.",
        "Compare how scales are written and how they are read: layout, transposition, index.",
    ),
    Kind(
        "wrong-offset", "error", "Numbers come back right in shape and moved",
        "A block of numbers correlates with what was appended and is moved by more than its "
        "spread.",
        "An offset (a zero point) is lost, or has the wrong sign.",
        "Compare how the zero point is written and how it is read.",
    ),
    Kind(
        "sign-lost", "error", "Negative values are lost",
        "Values that are all negative come back at least three times as wrong as the same values "
        "with the other sign, and by more than a tenth.",
        "An honest quantiser loses as much of x as of -x.",
        "Look at the type of the codes and at the clipping: unsigned where signed is needed.",
    ),
    Kind(
        "constant-lost", "error", "Equal numbers are lost",
        "Constant values, equal tokens or zeros come back at least three times as wrong as others, "
        "and by more than a tenth.",
        "A range of 0 is divided by, or replaced by something.",
        "Where the range is 0, store the value and take any step.",
    ),
    Kind(
        "magnitude-lost", "warning", "Large or small values are lost",
        "Values 300 times as large, or as small, come back at least three times as wrong in "
        "proportion, and by more than a tenth.",
        "A scale, or its inverse, leaves the range of its type.",
        "Store scales in a type with the range of the values; float16 ends at 65504 and 6e-5.",
    ),
    Kind(
        "wiped-out", "error", "Large or small values are wiped out",
        "Values 300 times as large, or 300 or 3000 times as small, come back as "
        "unrelated numbers, in a cache whose scales follow the data.",
        "A scale, or its inverse, overflows, or ends as 0.",
        "Store scales in a type with the range of the values; float16 ends at 65504 and 6e-8.",
    ),
    Kind(
        "wrong-place", "error", "Numbers of one place are read at another",
        "A channel answers with another channel's numbers, or a token with another token's.",
        "An index or a layout differs between writing and reading.",
        "Compare the order in which rows and channels are written and read.",
    ),
    Kind(
        "channel-lost", "error", "Channels are paid for and lost",
        "Some channels of every token have nothing to do with what was appended, while each token "
        "costs at least 8 bits a number.",
        "The message has room for them: nothing is gained by their loss.",
        "Look at padding, and at a last group that is not full.",
    ),
    Kind(
        "width-lost", "error", "Channels are lost where d is not a power of 2",
        "At d_k = 20 and d_v = 12 some channels are lost that are kept at 64.",
        "The code forgets the padding, or a last group that is not full.",
        "Pad to the group and cut off after reading, or refuse such widths.",
    ),
    Kind(
        "counted-twice", "error", "Tokens are stored more than once",
        "At q = 0 a token has two or more times the weight of the others, while all are held.",
        "It counts so often in every soft answer.",
        "Look at what is appended at the edges of blocks.",
    ),
    Kind(
        "wrong-head", "error", "Heads answer with another head's values",
        "A head's answers agree with the secret bits of another head or layer.",
        "The index of a head or layer is computed wrongly.",
        "Query head h reads KV head h // (heads // kv_heads).",
    ),
    Kind(
        "lost-head", "error", "Some heads are lost and others are not",
        "With several layers and heads some heads read wrong, and their bits are not another "
        "head's.",
        "The scores, or the values, of that head are mixed up with others'.",
        "Look at the axes of layers and heads, and at buffers that they share.",
    ),
    Kind(
        "hole", "error", "A token is lost although there was room",
        "Tokens are lost while older and newer ones are held, and the cache holds twice as many "
        "later.",
        "It did not lack room: the token was dropped on the way.",
        "Look at what happens when a buffer is flushed or a block is full.",
    ),
    Kind(
        "off-by-one", "error", "It holds one token more or fewer than its parameter says",
        "A parameter of its constructor is W, and at every length over it W - 1 or W + 1 tokens "
        "are "
        "held.",
        "A window one short loses the token that is asked for most at its edge.",
        "Compare < and <=, and where the newest token is counted.",
    ),
    Kind(
        "sinks-lost", "error", "The sinks are not held",
        "A parameter named like a sink is S, and the first S tokens are not all held.",
        "The first tokens are what such a cache promises to keep.",
        "Exempt the first S from eviction.",
    ),
    Kind(
        "budget-unused", "error", "The budget is left unused while tokens are lost",
        "At three budgets it is charged less than 2/5 of the budget and loses tokens.",
        "At its own price it could hold more than twice as many: a ratio is computed wrongly.",
        "Compare the share that is kept with the share that the budget allows.",
    ),
    Kind(
        "never-engaged", "error", "Compression never engages",
        "A parameter named like bits says 8 or fewer, and the oldest tokens are answered exactly "
        "while each token costs 16 bits a number or more.",
        "It is an uncompressed cache under another name.",
        "Look at the condition under which tokens are compressed.",
    ),
    Kind(
        "over-declared", "error", "A token costs more than is declared",
        "The message grows by more bits for each token than its declaration allows.",
        "Compression does not engage, or not as stated.",
        "Look at the types that are stored, or declare what it costs.",
    ),
    Kind(
        "operation-broken", "error", "After an operation it does not hold what it should",
        "After a legal schedule of operations it does not answer as a cache that was only fed the "
        "surviving tokens.",
        "An engine rolls back, reorders, forks and cuts: what was rejected must not answer.",
        "The schedule is the shortest that shows the fault: perform it by hand.",
    ),
    Kind(
        "operation-refused", "note", "It refuses an operation",
        "One of its operations raises, before it changes anything.",
        "This is allowed; an engine must do without the operation.",
        "Nothing, if that is intended.",
    ),
    Kind(
        "changes-inputs", "error", "It writes into the arrays that it is given",
        "An argument of append, extend or attend holds other numbers afterwards.",
        "They belong to the caller.",
        "Work on a copy.",
    ),
    Kind(
        "refuses-inputs", "error", "It wants its arrays to be writable or contiguous",
        "Read-only or strided arrays of the same numbers raise, or change the answers.",
        "The game hands out views of one array.",
        "Call np.ascontiguousarray on what is handed to native code.",
    ),
    Kind(
        "keeps-arrays", "note", "It keeps the arrays that it is given",
        "The caller writes over them after append, and the answers change.",
        "The game does not touch them again, so no attack suffers; an engine that reuses a buffer "
        "does.",
        "Copy them in append: np.array(k).",
    ),
    Kind(
        "full", "note", "It takes no more than one of its sizes",
        "append raises once as many tokens have come as one of its parameters or sizes says.",
        "Longer streams were not tried.",
        "Nothing, if that is intended; give a larger size (--param) to have more tried.",
    ),
    Kind(
        "by-chance", "note", "Something is wrong with these public coins only",
        "A law is broken with these public coins; with others it holds, or is broken elsewhere.",
        "A randomised method may lose, and find again, by chance.",
        "Nothing, if it draws random numbers.",
    ),
)  # fmt: skip
