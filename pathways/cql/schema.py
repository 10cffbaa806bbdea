"""Which elements an ELM node may have, so that one this engine would pass over is refused instead.

https://cql.hl7.org/elm/schema/expression.xsd and clinicalexpression.xsd
"""

from collections.abc import Sequence

from pathways.cql.scope import Node

# They say where a node comes from and what it is, not what it does.
_COMMON = frozenset(
    ("type", "signature", "resultTypeName", "resultTypeSpecifier", "annotation", "localId", "locator")
)
_TIMES = ("hour", "minute", "second", "millisecond")
_DAYS = ("year", "month", "day")


def _rows(*rows: tuple[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    return {name: _COMMON | {*elements} for names, elements in rows for name in names.split()}


_OPERATOR = _COMMON | {"operand"}
_ELEMENTS = _rows(
    ("Literal", ("value", "valueType")),
    ("Quantity", ("value", "unit")),
    ("Ratio", ("numerator", "denominator")),
    ("Date", _DAYS),
    ("DateTime", (*_DAYS, *_TIMES, "timezoneOffset")),
    ("Time", _TIMES),
    ("Tuple List", ("element", "typeSpecifier")),
    ("Instance", ("classType", "element")),
    ("Interval", ("low", "high", "lowClosed", "highClosed", "lowClosedExpression", "highClosedExpression")),
    ("MinValue MaxValue", ("valueType",)),
    ("Null", ("valueType",)),
    ("As", ("operand", "asType", "asTypeSpecifier", "strict")),
    ("Is", ("operand", "isType", "isTypeSpecifier")),
    ("Convert CanConvert", ("operand", "toType", "toTypeSpecifier")),
    ("If", ("condition", "then", "else")),
    ("Case", ("comparand", "caseItem", "else")),
    ("Message", ("source", "condition", "code", "severity", "message")),
    ("AliasRef OperandRef QueryLetRef IdentifierRef", ("name", "libraryName")),
    ("ExpressionRef ParameterRef CodeRef ConceptRef CodeSystemRef", ("name", "libraryName")),
    ("ValueSetRef", ("name", "libraryName", "preserve")),
    ("FunctionRef", ("name", "libraryName", "operand")),
    ("InValueSet", ("code", "valueset", "valuesetExpression")),
    ("AnyInValueSet", ("codes", "valueset", "valuesetExpression")),
    ("InCodeSystem", ("code", "codesystem", "codesystemExpression")),
    ("AnyInCodeSystem", ("codes", "codesystem", "codesystemExpression")),
    ("Property", ("path", "scope", "source")),
    (
        "Query",
        ("source", "let", "relationship", "where", "return", "aggregate", "sort"),
    ),
    (
        "Retrieve",
        (
            *("dataType", "templateId", "context", "idProperty", "idSearch", "codes", "codeProperty"),
            *("codeComparator", "codeSearch", "valueSetProperty", "dateProperty", "dateLowProperty"),
            *("dateHighProperty", "dateSearch", "dateRange", "include", "includedIn", "id", "codeFilter"),
            *("dateFilter", "otherFilter"),
        ),
    ),
    ("ForEach", ("source", "element", "scope")),
    ("Repeat", ("source", "element", "scope")),
    ("Filter", ("source", "condition", "scope")),
    ("Current Iteration Total", ("scope",)),
    ("Sort", ("source", "by")),
    ("AliasedQuerySource", ("expression", "alias")),
    ("With Without", ("expression", "alias", "suchThat")),
    ("Count Sum Product Min Max Avg GeometricMean Median Mode", ("source", "path")),
    ("Variance StdDev PopulationVariance PopulationStdDev AllTrue AnyTrue", ("source", "path")),
    ("First Last", ("source", "orderBy")),
    ("IndexOf", ("source", "element")),
    ("Slice", ("source", "startIndex", "endIndex")),
    ("Combine", ("source", "separator")),
    ("Split", ("stringToSplit", "separator")),
    ("SplitOnMatches", ("stringToSplit", "separatorPattern")),
    ("PositionOf LastPositionOf", ("pattern", "string")),
    ("Substring", ("stringToSub", "startIndex", "length")),
    ("Round", ("operand", "precision")),
    ("After Before SameAs SameOrAfter SameOrBefore", ("operand", "precision")),
    ("In IncludedIn Includes Contains ProperIn ProperContains", ("operand", "precision")),
    ("ProperIncludes ProperIncludedIn Overlaps OverlapsBefore OverlapsAfter", ("operand", "precision")),
    ("Meets MeetsBefore MeetsAfter Starts Ends", ("operand", "precision")),
    ("DurationBetween DifferenceBetween DateTimeComponentFrom", ("operand", "precision")),
    ("CalculateAge CalculateAgeAt", ("operand", "precision")),
)


def unknown(node: Node) -> Sequence[str]:
    """Return the elements of a node that its type does not have."""
    known = _ELEMENTS.get(node["type"], _OPERATOR)
    return () if node.keys() <= known else [name for name in node if name not in known]
