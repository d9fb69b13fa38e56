"""Damaged files of every format: each is read, or refused in one line.

``make fuzz N=100000 SEED=0`` runs as many cases; each is drawn from the seed and its
number alone, so that one can be run again.
"""
