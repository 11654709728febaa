"""The tests of key equations: the tolerance each one states, and the report from which the appendix is written."""

import pytest


@pytest.fixture
def tolerance(request):
    """The tolerance in the test's ``equation`` marker: what the appendix prints is what the test used."""
    return request.node.get_closest_marker("equation").kwargs["tolerance"]
