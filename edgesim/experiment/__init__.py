"""From a scenario to runs: one problem or one stream a repeat, yielded one by one."""
