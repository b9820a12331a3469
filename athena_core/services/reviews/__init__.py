"""Reviews by personas: from the request, over the runs of their models, to the files of the result.

What lives here: the service of reviews, their preparation and result, and definitions of personas.
What may not: calls of models. Read first: ``reviews.py``, then ``preparation.py``.
"""
