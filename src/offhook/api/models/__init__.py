"""What the API takes and gives, as its schema has it. Names and units are contract; no answer has anything else."""
