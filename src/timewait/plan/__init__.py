"""What a design can carry: connections a second against ports, TIME-WAIT, memory and tables; remedies side by side.

Knows arithmetic and a profile's values.  Asks no kernel; reading workloads and showing results are left to others.
"""
