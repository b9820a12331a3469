"""Pure definitions of work: schedules, workflows, templates and notes.

What lives here: cron expressions, slots and triggers of schedules, the graph of a workflow, placeholders of
templates, chunks of notes. What may not: events, states, input and output. Read first: ``cron.py``, then
``trigger.py``.
"""
