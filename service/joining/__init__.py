"""Two records that were found to be of one person: joining them, and parting them again.

    persons                two Patients: what the one that stays is given, and what says so
    facts                  everything about the one, as it is about the other
    plans, parted_plans    the plans of both, joined and parted; what is open waits until a person has looked
    saving                 what is written, with who sent it
    join, part             the use cases, each in one transaction

Who is meant by what names a joined Patient afterwards is told in `service.fhir.joined`.
"""
