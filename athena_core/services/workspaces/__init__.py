"""Own workspaces: directory trees of sessions and workflow runs, and the changes that runs make in them.

What lives here: making a workspace, snapshots of its files and the difference of two, its size, and its deletion.
Everything below ``<workspace>/files`` is hostile: an agent may have put anything there.
Nothing here follows a link, opens a special file or runs a program that a file there names.
Read first: ``making.py``, then ``snapshots.py``.
"""
