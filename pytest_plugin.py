"""The pytest plug-in that comes with kvbarrier: the fixture ``assert_cache`` and a marker.

    @pytest.mark.kvbarrier(expect=["keeps=all"], seconds=20)
    def test_my_cache(assert_cache):
        assert_cache(MyCache)

Loading it imports nothing of kvbarrier but this file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "kvbarrier(expect, params, seconds): defaults of the fixture assert_cache"
    )


@pytest.fixture
def assert_cache(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``kvbarrier.testing.assert_cache``, with the defaults of the test's marker."""
    from kvbarrier.testing import assert_cache as function

    marker = request.node.get_closest_marker("kvbarrier")
    return partial(function, **(marker.kwargs if marker else {}))
