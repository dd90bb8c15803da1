"""Denormal numbers are taken for 0, in every process that trains.

Weights and moments of an optimiser that decay towards 0 pass through denormal numbers, on which a CPU is ten times slower
or more: without this, a small network's iterations slow down from 40 to 700 milliseconds as training goes on. Threads
take the setting over from the one that starts them, so it is made when the room is entered, before any of them works.
"""

import torch

torch.set_flush_denormal(True)
