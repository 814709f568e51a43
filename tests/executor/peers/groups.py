"""What members of a run do in tests, and how a driver has them do it."""


def begin(group, n=None):
    group.admit()
    assert group.open(group.workers()[:n])


def everywhere(group, function, *arguments):
    return group.run(function, [arguments] * len(group.members))


def exchange(peer, word):
    for other in peer.others:
        peer.send(other, ("word",), (), f"{word} of {peer.index}")
    return [peer.take(other, ("word",))[1] for other in peer.others]


def remember(peer):
    peer.residents.put(peer.run, 0, {peer.index: "unit"})


def recall(peer):
    return peer.residents.take(peer.run, 0)


def wait_for_nobody(peer, gate):
    """Wait for what never comes, when all members do."""
    peer.meet(("all wait",), timeout=30)
    if peer.index == 0:
        gate.pass_through()
    peer.take(peer.others[0], ("never",), timeout=30)
