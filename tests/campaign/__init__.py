"""Tests of campaigns: lists of jobs that are run, kept and continued."""
