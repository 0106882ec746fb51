"""The commands: flags in, one library call, results on standard output, logs on standard error."""
