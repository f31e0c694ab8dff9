"""
The console: pages for people, which see the server through the API and nothing else.

Their source is ``console/`` at the top of the repository; ``make console`` builds it into ``dist``, which is committed,
so that neither a clone nor a wheel needs Node.
"""
