"""Reviews by personas: definition files, the repository, the result.

What lives here: the service of reviews, definitions, preparation, git. What may not: calls of models. Read first:
``reviews.py``.
"""
