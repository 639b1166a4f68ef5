"""Packet scripts of our own: `rows/` are written by hand, one a behaviour; `states/` are made by `scripts/traces`.

`answers/` states, one table a stack and from documents alone, what each event draws in each state; `situations` how a
script brings a stack into a state; `writing` makes the scripts of the two.  Nothing here asks the engine.
"""
