"""The context of a model call: instructions, references, history of the session.

What lives here: the compiler of the context, the conversation that fits a budget, the kept history. What may not: calls
of models. Read first: ``compiler.py``.
"""
