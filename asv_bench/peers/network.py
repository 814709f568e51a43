"""How many samples a second train a network of one hidden layer, 784-128-10, by Adam."""

from contextlib import ExitStack

from peers import images, ours
from peers.images import Images
from peers.network_compare import compare
from peers.options import Options
from peers.other_interpreter import PeerUnavailableError
from peers.sgemm import multipliers
from peers.table import Row

_PARTITIONS = 4


def network(options: Options) -> tuple[list[Row], list[str]]:
    """Ours takes as many rows a step in each partition as the peers do in all; and as many in all.

    All sides are open at once, and wait while another trains.
    """
    from peers import network_sides as sides  # for this case alone: it imports our networks

    data, remarks = _images(options)
    with ExitStack() as stack:
        X, y = ours.persisted(stack.enter_context(ours.two_workers(options)), data, _PARTITIONS)
        processes = stack.enter_context(multipliers(sides.PROCESSES))
        peers = [
            sides.products(data.rows, processes, 0.01 if options.tiny else 1.0),
            sides.ours(X, y, batch=sides.BATCH),
            sides.scikit_learn(data),
        ]
        for other in (sides.pytorch, sides.tensorflow):
            try:
                peers += stack.enter_context(other(data))
            except PeerUnavailableError as missing:
                remarks.append(str(missing))
        own = sides.ours(X, y, batch=_PARTITIONS * sides.BATCH)
        rows, failed = compare("network", data.rows, own, peers, options)
    return rows, remarks + failed


def _images(options: Options) -> tuple[Images, list[str]]:
    if options.tiny:
        return images.synthetic(1024), []
    try:
        return images.fashion_mnist("train"), []
    except PeerUnavailableError as missing:
        return images.synthetic(60_000), [f"network: synthetic images; {missing}"]
