"""Patient stories: what a hospital sends, step by step, and everything the service must answer.

Black box: a story is played over HTTP against a running service with a clock that the player
sets, and the answer is read from the FHIR searches of the service.

    story -> placeholders -> service (clock, post, evaluate) -> collecting -> answer -> difference
"""
