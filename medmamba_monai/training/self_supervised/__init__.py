"""Self-supervised pretraining: which images it may see, what a network is asked of them, its options."""
