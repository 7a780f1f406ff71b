"""The worker site, its question frames and their templates."""
