"""Checkpoints as they lie on disks: small files of every kind, and what is right."""
