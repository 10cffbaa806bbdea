"""The hospital's FHIR server: who it is, how it is asked, and what its answers mean.

settings        one block of variables, `HIPWAY_HOSPITAL_...`
authentication  none, basic, bearer, or a signed statement (SMART Backend Services)
connection      one request at a time, with limits of time, size and rate
answers         every kind of answer, good or bad, has one name
outgoing        what is sent, and how a reference is written there
comparing       whether the other side has what was sent, and who changed what
delivery        what one patient's plan has made is sent, once in effect
returning       what the hospital changed of it comes back through the intake

wanted          what is read from it: of each type, what the pathways read
subscribing     the Subscriptions by which it calls us
feed            looking at what is new there, in its own time
theirs          a resource as it is there, of which nothing is believed yet
taking          what is new, whom it is about, and whom it names
placing         which resource here it is
storing         it goes through the intake, with what is what written down
"""
