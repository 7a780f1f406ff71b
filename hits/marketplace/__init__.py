"""A self-hosted marketplace: the MTurk Requester API for programs, a worker site for people."""
