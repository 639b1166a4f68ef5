"""The experiments, one file each: a function over hosts, its parameters, what it records.

Nothing here mentions a kernel or an engine; what the results mean is said in `lab.explanation`.
"""
