"""Fixtures: the testbed that most tests share."""

import itertools

import pytest

from support import Testbed, eventually


@pytest.fixture(scope="session")
def testbed():
    """Two workers, so that connections meet across them. After all tests nothing is left of
    them, and SIGTERM ends it with code 0."""
    with Testbed("--workers", "2") as testbed:
        yield testbed
        # The one connection is that of the question.
        eventually(lambda: testbed.stats()["connections"]["now"] == 1)
        assert testbed.stats()["bytes_held"] == 0
        testbed.stop()


_numbers = itertools.count(1)


@pytest.fixture
def tag():
    """A query that no other request has: what `/disconnects` tells can be told apart by it."""
    return f"tag={next(_numbers)}"
