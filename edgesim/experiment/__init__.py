"""From a scenario to runs: one problem or stream per repeat, yielded one by one."""
