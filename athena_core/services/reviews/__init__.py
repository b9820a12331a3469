"""Reviews by personas: from the request over the runs of their models to the files that they leave.

What lives here: the course of a review, its preparation, its result, definitions of personas, the door of git. What may
not: calls of models. Read first: ``reviews.py``, then ``preparation.py``.
"""
