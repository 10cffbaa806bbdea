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
