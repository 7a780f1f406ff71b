"""The pipeline from WordNet synsets to a verified, exported, trained-on dataset; ARCHITECTURE.md tells its way."""
