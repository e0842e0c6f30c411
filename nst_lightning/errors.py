"""The exceptions that reach the user as a sentence instead of a traceback."""


class UserError(Exception):
    """Something the user can mend; its message is one sentence that says what to do."""

    exit_code = 2


class OutputError(UserError):
    """Results can no longer be written, so the run ends; what is finished stays."""

    exit_code = 1
