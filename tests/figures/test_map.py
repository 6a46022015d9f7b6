"""The picture of what is lost: what it shows, and that it is the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.figures import map as figure
from kvbarrier.protocols.evidence.losses import Losses
from kvbarrier.protocols.evidence.record import Reading


def losses(n: int = 32, layers: int = 1, heads: int = 1, cut: int | None = None) -> Losses:
    """Head 0 loses token 7, in two messages."""
    shape = (n, layers, heads, 8)
    secret = np.zeros(shape, np.uint8)
    said = secret.copy()
    said[7, :, 0] = 1
    return Losses.of([Reading(np.arange(n), secret, said, n=n, cut=at) for at in (cut, None)])


def point(name: str = "budget 1", **sizes: Any) -> figure.Mapped:
    return figure.Mapped(name, losses(**sizes), "Lost: token 7.")


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_map_is_the_same_bytes_when_it_is_drawn_again(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        figure.draw(
            [point(cut=9), point("1/2")], tmp_path / f"{name}.{kind}", title="T", level=0.99
        )
    first = (tmp_path / f"a.{kind}").read_bytes()
    assert first == (tmp_path / f"b.{kind}").read_bytes()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])


def test_joint_counts_are_shares_of_what_was_asked() -> None:
    found = losses(heads=2, cut=9)
    assert found.share[7, 0].tolist() == [[1.0] * 8, [0.0] * 8]
    assert found.bits == (2 * 8, 2 * 32 * 16)
    assert found.marks == ((9, "cut"),)
    secret = np.zeros((2, 1, 1, 4), np.uint8)
    sampled = Losses.of([Reading(np.array([3, 5]), secret, secret, n=8)])
    assert np.isnan(sampled.share[:, 0, 0, 0]).tolist() == [n not in (3, 5) for n in range(8)]


def test_each_layer_and_head_has_a_panel_as_long_as_they_are_legible() -> None:
    panels, note = figure._panels([point(layers=2, heads=3)])
    assert [len(row) for row in panels] == [3, 3]
    assert panels[1][0][0] == "budget 1, layer 1 head 0"
    assert note == ""
    panels, note = figure._panels([point(layers=5, heads=5)])
    assert [len(row) for row in panels] == [1]
    assert note == "A panel is the mean over all layers and heads."
    # One of 5 heads in all layers: a fifth.
    assert panels[0][0][1][7].tolist() == pytest.approx([0.2] * 8)


def test_a_long_stream_shows_the_worst_of_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    shown: list[Any] = []
    _, axes = pyplot.subplots()
    monkeypatch.setattr(axes, "imshow", lambda data, **_: shown.append(data))
    figure._panel(axes, ("", losses(n=40).share[:, 0, 0], ()), None, cells=4)
    pyplot.close("all")
    (data,) = shown
    assert data.shape == (8, 10)
    assert data[0].tolist() == [0.0, 1.0, *[0.0] * 8]


def test_the_caption_says_how_many_messages_and_the_level() -> None:
    text = figure._caption([point(cut=3)], 0.99, 1, "")
    assert "2 messages" in text
    assert "level 0.99" in text
    assert "Dashed: cut" in text


def test_a_map_without_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a point"):
        figure.draw([], tmp_path / "a.png", title="", level=0.99)
