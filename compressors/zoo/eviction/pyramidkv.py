"""PyramidKV: SnapKV's vote, with more room in the lower layers than in the upper ones."""

from __future__ import annotations

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from .snapkv import SnapKV


class PyramidKV(SnapKV):
    """PyramidKV (Cai et al. 2024, Dynamic KV Cache Compression based on Pyramidal Information
    Funneling, arXiv 2406.02069).

    With w the window and c the mean capacity, the last layer has room for (c - w)/beta voted tokens
    and the first for 2 (c - w) minus that, cut at the prompt's length; between them it falls in
    equal steps. Which tokens stay is SnapKV's vote. One layer is SnapKV.

    State: K and V in fp16 of the tokens kept, as many in every head of a layer.

    Args:
        capacity, window, kernel, pooling: as SnapKV; ``capacity`` is the mean over layers.
        beta: how steep the pyramid is (20).

    Raises:
        BudgetTooSmall, BadInput: as SnapKV.

    Mechanisms:
        arithmetic sequence of layer budgets: implemented.
        selection by the attention of the last queries: implemented.
        window kept whole in every layer: implemented.
        equal budgets for a prompt shorter than twice the capacity (the authors' code, not the
            paper): left out, the pyramid is cut at the prompt's length instead.
        window smaller than the capacity: adapted, as for SnapKV.
        what rounding leaves over: adapted, it goes to the lowest layers; the authors' code drops
            it.
    """

    name = "pyramidkv"

    def set_up(
        self,
        *,
        capacity: int | None = None,
        window: int = 32,
        kernel: int = 5,
        pooling: str = "avg",
        beta: int = 20,
    ) -> None:
        self.beta = whole(beta, "beta", 1)
        super().set_up(capacity=capacity, window=window, kernel=kernel, pooling=pooling)

    def capacities(self) -> list[int]:
        """c_0 >= c_1 >= ... of mean ``capacity``."""
        layers, room = self.shape.layers, self.capacity - self.window
        most = self.shape.tokens - self.window
        if layers == 1:
            return [self.capacity]
        least = room // self.beta
        top = 2 * room - least
        if top > most:
            top, least = most, 2 * room - most
        step = (top - least) / (layers - 1)
        voted = [int(top - step * layer) for layer in range(layers)]
        for layer in range(layers):
            spare = min(layers * room - sum(voted), most - voted[layer])
            voted[layer] += max(0, min(spare, 1))
        return [self.window + count for count in voted]


ENTRY = CatalogEntry(
    PyramidKV,
    summary="as SnapKV, with more tokens in the lower layers",
    source="Cai et al. 2024, PyramidKV: Dynamic KV Cache Compression based on Pyramidal "
    "Information Funneling",
    budgets=EVICTS,
    assumes="upper layers attend to fewer tokens than lower ones",
    broken_by="secrets in the upper layers, as many as in the lower ones",
    own_size={"layers": 4},
    own_size_reason="its budgets differ by layer; with one layer it is SnapKV",
)
