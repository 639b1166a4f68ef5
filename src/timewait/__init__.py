"""Evidence about TCP's TIME-WAIT state, from the reader's own machine.

Folders, each needing only those before it: wire, tcp, sim (virtual), system (real), lab, report, cli.
`docs/architecture.md` says what is where.
"""

__version__ = "0.1.0"
