"""A submission server with a leaderboard for a hidden test split."""
