"""Records, readers and writers of formats, labels and tags, the synthetic corpus."""
