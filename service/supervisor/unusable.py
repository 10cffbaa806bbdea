"""What the person who starts hipway has to change first."""


class Unusable(Exception):
    """Something outside the program is in the way. The message is one sentence for that person."""
