"""Tests of files and folders: written whole or not at all."""
