"""Integer programs, solved by HiGHS or CBC through PuLP."""
