"""One scenario, several worlds: the host contract, the worlds that keep it, the experiments, what they showed.

The only folder where the virtual and the real meet.  Leaves reading arguments and drawing tables to `cli` and `report`.
"""
