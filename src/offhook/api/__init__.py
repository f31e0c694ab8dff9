"""
The interface for programs and for the console, under ``/api`` on the port that calls come in by.

``live.py`` (what happens in running calls, told to any number of subscribers) and ``access.py`` (who may what) know no
framework; the rest is FastAPI and is imported when the server has begun to listen, beside the calls.
"""
