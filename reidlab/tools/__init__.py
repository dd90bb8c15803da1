"""What a user runs on pictures of their own, each a command of ``reidlab``.

All tools are of one habit: they say what was read, refuse before the work what they could not write after it, show
progress, and write whole or not at all.
"""
