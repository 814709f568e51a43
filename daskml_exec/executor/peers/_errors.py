"""Why work among peers ends early."""


class PeersInterrupted(RuntimeError):
    """A segment came to no end, and can be repeated."""


class GenerationEndedError(PeersInterrupted):
    """The generation has ended: a worker was lost, or the driver closed the run."""


class BadCopyError(PeersInterrupted):
    """What is on disk, or came from another disk, is not what was written."""


class PeerTimeoutError(TimeoutError):
    """A peer did not answer within the time that it has for it.

    Attributes
    ----------
    missed : tuple of str
        Addresses of workers that are no members, if it was these that did not answer.
    """

    missed: tuple[str, ...] = ()


class MailboxFullError(RuntimeError):
    """More messages came than a worker has room for."""
