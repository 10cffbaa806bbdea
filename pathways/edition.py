"""Which edition of the machine decides: every decision names it, so that a replay can say what differs."""

ENGINE = "1.0.0"
