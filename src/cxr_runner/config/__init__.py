"""What a run is: the schema, how it is composed, what is said of mistakes in it, and which runs are the same run."""
