"""How cross-validations scale to many workers: what a store and a shared folder must bear, and a simulation beyond."""
