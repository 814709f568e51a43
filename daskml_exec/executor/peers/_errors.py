"""Why work among peers ends early."""


class PeersInterrupted(RuntimeError):
    """A segment came to no end, and can be repeated."""


class GenerationEndedError(PeersInterrupted):
    """The generation has ended: a worker was lost, or the driver closed the run."""


class PeerTimeoutError(TimeoutError):
    """A peer did not answer within the time that it has for it."""
