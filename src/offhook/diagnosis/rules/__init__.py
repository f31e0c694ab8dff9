"""
The rules: a folder is a boundary, a file is a fault. The engine finds them there; there is no list to keep.

A module offers ``RULE`` and ``find(view)``. Its docstring is the fault's page in the manual: what it is, then
paragraphs that begin with "Caller notices:", "Why:", "Proof:", "Fix:" and "Reproduce:"; who lies and the source are
fields of ``RULE``.
"""
