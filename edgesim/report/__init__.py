"""One page of a run or a figure: self-contained HTML that opens offline."""
