"""Patient stories played by the thousand while processes are killed and suspended under them.

copies        the stories, each with ids of its own
hospital      senders that repeat a Bundle until it is acknowledged, and remember what was
play          the stories along one clock: post, evaluate, wait, go on
faults        who is killed or suspended, when, and what comes back
fingerprint   what is left of a patient, without ids: equal for equal stories
"""
