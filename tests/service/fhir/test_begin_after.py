"""A later page reads no rows of the pages before it: the server is told so of each row that is looked for."""

from service.fhir.criteria import sql
from service.fhir.criteria.sql import Sql

CODE = sql.row("search_value", ["code"], Sql("s.value = %s", ("c7",)), of="r")
OF_A_TARGET = sql.row("search_value", ["name"], Sql("s.value = %s", ("x",)), of="t")


def test_rows_of_the_resource_begin_after_its_place_and_those_of_others_do_not():
    condition = sql.asked_of_each(sql.all_of([CODE, sql.none_of(CODE), OF_A_TARGET]), few=False)

    begun = sql.after(condition, 175950)

    assert begun.values == condition.values
    assert begun.text.count("s.key > 175950") == 2
    assert begun.text.replace(" AND s.key > 175950", "") == condition.text


def test_what_is_asked_of_few_resources_stays_as_it_is():
    condition = sql.asked_of_each(CODE, few=True)

    assert sql.after(condition, 175950) == condition


TOKEN = sql.row("search_value", ["code"], Sql("s.value = %s AND s.system = %s", ("c7", "urn:x")), of="r")
DATE = sql.row("search_date", ["date"], Sql("s.low < %s", ("2026-02-02",)), of="r")


def test_the_rows_of_one_token_lead_to_the_resources_in_their_order():
    of_type = Sql("r.type = %s", ("Observation",))

    type_, leads, date = sql.driven([of_type, TOKEN, DATE], "Observation", tenant=3)

    assert leads.text.startswith("r.key IN (SELECT DISTINCT s.key FROM search_value s WHERE s.tenant = %s")
    assert leads.text.endswith("ORDER BY s.key)")
    assert leads.values == (3, "Observation", "code", "c7", "urn:x")
    assert (type_, date) == (of_type, DATE)
    begun = sql.after(sql.all_of([leads, DATE]), 9)
    assert begun.text.count("s.key > 9") == 2
    assert begun.text.count("%s") == len(begun.values)


def test_where_one_of_several_values_may_be_rare_the_server_chooses():
    for conditions in ([TOKEN, CODE], [TOKEN, TOKEN], [CODE, DATE], [sql.none_of(TOKEN)], [DATE]):
        assert sql.driven(conditions, "Observation", tenant=0) == conditions
