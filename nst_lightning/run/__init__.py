"""Making it: workers, one or several, and what they need."""
