"""How fast and how cheap koboshi is, measured beside what a user would pick instead. Never part of CI's verdict."""
