"""Fine-tuning: recipes, the plan before the start, and the command line of ms-swift that does the training."""
