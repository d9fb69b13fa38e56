"""A campaign: a list of edgesim commands that is run in order, kept and continued."""
