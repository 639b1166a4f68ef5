"""The only folder that asks the kernel: socket dumps, counters, sysctls, namespaces, and the agent inside them.

Knows how Linux is asked and what its answers look like.  Leaves what they mean to `lab` and the commands.
"""
