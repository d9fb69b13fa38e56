"""edgesim: one GPU, more models than memory, wireless users with deadlines."""

__version__ = "0.1.0"
