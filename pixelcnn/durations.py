"""How durations are written."""

import math


def clock(seconds: float) -> str:
    """Write a duration as hours:minutes:seconds, rounded up, always as wide: for logs.

    >>> clock(8.2), clock(7260)
    ('0:00:09', '2:01:00')
    """
    minutes, seconds = divmod(max(math.ceil(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def in_words(seconds: float) -> str:
    """Write a duration as people say it.

    >>> [in_words(s) for s in (8.2, 95, 660, 7260)]
    ['8 s', '1 min 35 s', '11 min', '2 h 1 min']
    """
    seconds = max(round(seconds), 0)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
