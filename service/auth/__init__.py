"""Who is calling, and what they may do: passwords, the hospital's sign-on, and the tokens of senders."""
