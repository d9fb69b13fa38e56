"""A campaign: a list of edgesim commands, run in order, recorded and resumable."""
