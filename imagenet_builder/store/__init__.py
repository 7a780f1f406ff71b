"""The builder's store: tables, and one module of queries a stage."""
