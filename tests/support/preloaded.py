"""Imports for the processes that tests fork: all commands, and what they import when they run."""

import importlib
import pkgutil

import athena_cli
import athena_client

for package in (athena_cli, athena_client):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
