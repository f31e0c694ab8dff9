"""The fault catalogue: its rows, and how each is injected into the virtual world."""
