"""Messages that show what a compressor does."""

import random

#: Messages of fewer bytes are not compressed by our side, by default.
THRESHOLD = 128
_random = random.Random(7692)
#: It shrinks by itself, but most when it refers to the same in the message before; even the
#: smallest window, of which zlib uses 250 bytes, reaches that far.
SMALL = " ".join(f"item {n % 20}" for n in range(25)).encode()
#: It does not shrink.
NOISE = _random.randbytes(1024 * 1024)


def far():
    """What shrinks with any window, and shows each reference that goes too far back: blocks that
    stand there twice, and are met again at all distances up to 40,000 and more."""
    blocks = [2 * _random.randbytes(40) for _ in range(500)]
    order = [_random.randrange(max(0, n - 500), n + 1) for n in range(500)]
    return b"".join(blocks[n] for n in order) + b"".join(blocks)


FAR = far()
