"""`python -m timewait`."""

from timewait.cli import main

main()
