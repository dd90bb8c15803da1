"""Tools for a user's own pictures, each a command of ``reidlab``.

All tools work alike: they report what was read, check that the output can be written before they start, show progress,
and write complete results or none.
"""
