"""``attack`` prints the memories of a codec, the message among them, and what disagrees."""

from __future__ import annotations

import json
from pathlib import Path

SHIPS = """
import numpy as np
class Ships:
    ratio = 4.0
    def __init__(self, seed, d):
        self.turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    def encode(self, x):
        return self.turn.copy(), (x @ self.turn).astype("f2")
    def decode(self, data):
        return (data[1].astype("f4") @ data[0].T).astype("f4")
"""


def test_a_codec_that_ships_its_rotation_is_told_so(kvbarrier, tmp_path: Path) -> None:
    file = tmp_path / "ships.py"
    file.write_text(SHIPS)
    common = ["attack", f"codec:{file}", "--n", "64", "--messages", "2"]
    said = kvbarrier(*common)
    assert said.code == 0
    # 64 tokens of 128 numbers of 2 bytes; two rotations of 64 x 64 numbers of 8 bytes are 4 times
    # as much, and it says itself that it needs a quarter.
    words = said.out.split()
    at = words.index("claimed")
    assert words[at : at + 6] == ["claimed", "logical", "resident", "side", "wire", "constant"]
    assert "0.250     5.000      5.000   0.000   5.00" in said.out
    assert "finding: claimed 0.25, real bytes 5" in said.out
    assert "finding: 4.00 of the message does not depend on the stream." in said.out
    told = json.loads(kvbarrier(*common, "--json").out)["engine"][0]
    assert told["findings"][1] == "4.00 of the message does not depend on the stream"
    assert 4.0 <= told["shares"]["constant"] < 4.02
