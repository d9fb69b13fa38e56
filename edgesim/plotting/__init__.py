"""Pictures, one kind a file; they draw what they are given and run nothing."""
