"""A clock by which things fall due, moved by the test."""

import pytest
from tests.after.kit import clock_in

clock = pytest.fixture(clock_in)
