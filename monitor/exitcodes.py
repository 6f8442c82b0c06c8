"""How a command ended, for scripts: one table for all commands."""

import enum


class ExitCode(enum.IntEnum):
    """How a command ended; the last two are what a shell says of a process ended by SIGINT or SIGPIPE."""

    DONE = 0
    FINDINGS = 1
    WRONG_USE = 2
    SERVICE_MISSING = 69
    BUG = 70
    STOPPED_TO_BE_RESTARTED = 75
    INTERRUPTED = 130
    READER_GONE = 141
