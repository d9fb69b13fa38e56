"""Mutants: small faults put into the code, which its mirrored tests must notice."""
