"""The figures of the documents, written from results and from nothing else."""
