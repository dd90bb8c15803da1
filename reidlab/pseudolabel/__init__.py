"""Chapters 3 and 4: learning with few labels and with none."""
