"""Solvers for parameter-sharing edge inference: a problem in, a result out."""
