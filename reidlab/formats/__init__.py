"""On-disk formats of data sets that are both read and written: what a file is called and what it holds."""
