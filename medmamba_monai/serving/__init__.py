"""A package behind MLflow: logged models, and what a server of MLflow answers with."""
