"""edgesim: one GPU, more models than its memory holds, wireless users with deadlines."""

__version__ = "0.1.0"
