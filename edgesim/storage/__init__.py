"""Files and folders: written whole or not at all, read with errors that say where."""
