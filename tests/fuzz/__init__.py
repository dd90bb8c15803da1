"""Generated inputs: thousands of damaged, misnamed and hostile files, none of which may do more than be refused.

``python -m tests.fuzz --count 1000 --seed 0`` draws a thousand; the suite draws a few of each kind.
"""
