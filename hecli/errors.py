"""What can go wrong, in the words the user will read.

Every failure that a user, a file, a disk or a hostile party can cause is a
`HecliError`: one line that says what is wrong, naming the file and the value,
and where there is one a hint that says what to do.
"""


class HecliError(Exception):
    """Something the user can understand and act on.

    Args:
        message: What is wrong, in lower case without a full stop.
        hint: What to do about it, likewise, or None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FormatError(HecliError):
    """A file is not what it should be: another kind, cut short, altered, or not canonical.

    Args:
        message: What is wrong.
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint or "it was altered, damaged or made by something else; get it again")


class DataError(HecliError):
    """A tensor holds what cannot be encoded: NaN, infinity, objects, values out of range."""


class MismatchError(HecliError):
    """Two things that should agree do not: plan and tensors, key and file, two updates."""


class RefusedError(HecliError):
    """Doing it would break a promise: to open too few, to count a party twice, to overwrite."""


class UnreachableError(HecliError):
    """Storage does not answer: later it may, and nothing is known of what was asked for."""


class PipelineError(HecliError):
    """A command before this one wrote nothing, or one behind it went away: it is for that one to say why."""
