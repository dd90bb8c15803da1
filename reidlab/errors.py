"""Errors a user can act on: every message names what was found, what was expected and what to do."""


class ReidlabError(Exception):
    """Base of all errors that a user can fix; the command line prints them without a traceback."""


class ConfigError(ReidlabError, ValueError):
    """A parameter, profile or argument has a name or value that is not allowed."""


class DataError(ReidlabError, ValueError):
    """A data set does not look as its layout or manifest says."""


class MissingDataError(DataError, FileNotFoundError):
    """A data set, folder or file that is needed is not there."""


class RunError(ReidlabError, RuntimeError):
    """A run could not be started, finished or read back."""


class StorageError(RunError):
    """A file or folder could not be read or written; the message names it."""


class ClaimError(ReidlabError, ValueError):
    """A claim of the ledger is malformed or needs records that cannot exist."""
