"""A live machine examined: one look at a network namespace, and what follows from it.

Knows what to read, what it means for TIME-WAIT, and what to advise.  Leaves how the kernel is asked to `system`, and
how it looks on a screen to `report`.
"""
