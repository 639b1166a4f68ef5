"""`WireError`: the one exception that reading from the wire raises, whatever the bytes were."""


class WireError(ValueError):
    """These bytes are not what they claim to be.  The message is one line that says why.

    Reading raises nothing else.  A value that cannot be put on the wire is the caller's own mistake, and there the
    builders raise plain ValueError.
    """
