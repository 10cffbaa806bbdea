"""The topics as they are published: Basic resources that are valid R4.

http://hl7.org/fhir/uv/subscriptions-backport/components.html#subscription-topics-in-r4
"""

from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles import canonical, gate, topics


def test_each_topic_is_a_valid_basic_of_its_name():
    for resource in topics.resources():
        assert gate.check(dict(resource)) == ()
        get_fhir_model_class("Basic").model_validate(dict(resource))
        assert resource["code"]["coding"] == [
            {"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}
        ]
    assert {topic.url for topic in topics.topics()} == {
        canonical.topic(name)
        for name in (
            topics.STAGE_ENTERED,
            topics.PROPOSAL_MADE,
            topics.ORDER_SIGNED,
            topics.TASK_OVERDUE,
        )
    }
