"""The Requester API's operations by theme: parsed requests in, answers in the model's terms out."""
