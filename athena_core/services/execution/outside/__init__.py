"""Outside agents as performers of runs.

What lives here: the performer (``outside_agent.py``), the work on one run under a lease (``agent_run.py``), the process
of the agent (``agent_process.py``), its words and calls as events (``agent_transcript.py``, ``call_records.py``), its
permissions, its prompts, and its money (``gateways.py``, ``run_ledger.py``). What may not: the protocol of agents,
bytes of model calls. Read first: ``agent_run.py``, then ``agent_transcript.py`` and ``permissions.py``.
"""
