"""The users as whom tests start programs: the one of the tests, and an ordinary one."""

import os

import pytest

USERS = (
    pytest.param(None, id="this-user"),
    pytest.param(
        "nobody",
        id="nobody",
        marks=pytest.mark.skipif(os.getuid() != 0, reason="only root starts programs of others"),
    ),
)
"""Parameters of a fixture: None for the user of the tests, or a name."""
