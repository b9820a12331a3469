"""Own workspaces: directory trees of sessions and workflow runs, and the changes that runs make in them.

What lives here: making a workspace, snapshots of its files and the difference of two, its size, its deletion,
and applying the changes of a run to the shared workspace.
What may not: following a link, opening a pipe or device, or running a program that a file names. Everything below
``<workspace>/files`` is hostile: an agent may have put anything there.
Read first: ``making.py``, then ``snapshots.py``.
"""
