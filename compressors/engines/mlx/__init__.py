"""The caches of MLX: mlx-lm's, mlx-vlm's and VeloxQuant-MLX's, on MLX's CPU backend."""

from ..scheme import Scheme

SCHEME = Scheme(
    "mlx",
    title="MLX",
    module="cache",
    cls="MlxCache",
    probes=("mlx_lm",),
    needs="mlx[cpu] and mlx-lm",
    example="mlx:KVCache",
)
