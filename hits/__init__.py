"""Crowd verification: pages of questions, a requester, consensus rules, and a marketplace that speaks MTurk's API."""
