"""The wheel, installed outside the clone: a walk through the commands, the tests."""
