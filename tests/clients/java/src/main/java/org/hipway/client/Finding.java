package org.hipway.client;

import static org.hipway.client.Day.refused;
import static org.hipway.client.Day.same;

import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.SearchStyleEnum;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.gclient.ICriterion;
import ca.uhn.fhir.rest.gclient.IQuery;
import ca.uhn.fhir.rest.server.exceptions.InvalidRequestException;
import ca.uhn.fhir.rest.server.exceptions.ResourceNotFoundException;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.CapabilityStatement;
import org.hl7.fhir.r4.model.CarePlan;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.IntegerType;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.OperationOutcome;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.Reference;
import org.hl7.fhir.r4.model.StringType;

/** Reading, searching, and operations. */
final class Finding {
    private static final String WHO = "hapi-found";
    private static final int FACTS = 7;
    private static final int PAGE = 3;

    private final IGenericClient client;
    private final IdType plan;

    Finding(IGenericClient client, String plan) {
        this.client = client;
        this.plan = new IdType("CarePlan", plan);
    }

    void addTo(Map<String, Day.Step> steps) {
        steps.put("the capability statement is read", this::capabilities);
        steps.put("a visit is stored for what follows", this::visit);
        steps.put("searches chain, include and page, by GET and by POST", this::searches);
        steps.put("a search by what is not known is refused by name", this::unknown);
        steps.put("operations answer, by POST and by GET", this::operations);
        steps.put("a resource is validated", this::validation);
    }

    private void capabilities() {
        CapabilityStatement found =
                client.capabilities().ofType(CapabilityStatement.class).execute();

        same("4.0.1", found.getFhirVersion().toCode());
    }

    private void visit() {
        var visit = new Bundle().setType(Bundle.BundleType.TRANSACTION);
        Patient patient = Writing.person(WHO);
        patient.setId(WHO);
        put(visit, patient);
        for (int number = 0; number < FACTS; number++) {
            var fact = new Observation().setStatus(Observation.ObservationStatus.FINAL);
            fact.setId(WHO + "-" + number);
            fact.getCode().addCoding().setSystem("http://loinc.org").setCode("72514-3");
            fact.setSubject(new Reference("Patient/" + WHO)).setValue(new IntegerType(number));
            put(visit, fact);
        }
        same(FACTS + 1, client.transaction().withBundle(visit).execute().getEntry().size());
    }

    private static void put(Bundle visit, org.hl7.fhir.r4.model.Resource resource) {
        visit.addEntry().setResource(resource).getRequest().setMethod(Bundle.HTTPVerb.PUT)
                .setUrl(resource.fhirType() + "/" + resource.getIdElement().getIdPart());
    }

    private IQuery<Bundle> facts() {
        ICriterion<?> chained = Observation.PATIENT.hasChainedProperty(Patient.FAMILY.matches().value(WHO));
        return client.search().forResource(Observation.class).where(chained)
                .and(Observation.CODE.exactly().systemAndCode("http://loinc.org", "72514-3"))
                .returnBundle(Bundle.class);
    }

    private void searches() {
        for (SearchStyleEnum style : new SearchStyleEnum[] {SearchStyleEnum.GET, SearchStyleEnum.POST}) {
            Set<String> found = new HashSet<>();
            Bundle page = facts().count(PAGE).usingStyle(style).execute();
            int pages = 1;
            add(page, found);
            while (page.getLink(Bundle.LINK_NEXT) != null) {
                page = client.loadPage().next(page).execute();
                pages++;
                add(page, found);
            }
            same(FACTS, found.size());
            same(3, pages);
        }
        Bundle along = facts().include(Observation.INCLUDE_PATIENT).execute();
        same(FACTS + 1, along.getEntry().size());
        Bundle back = client.search().forResource(Patient.class).where(Patient.FAMILY.matchesExactly().value(WHO))
                .revInclude(Observation.INCLUDE_PATIENT).returnBundle(Bundle.class).execute();
        same(FACTS + 1, back.getEntry().size());
        Bundle counted = facts().summaryMode(ca.uhn.fhir.rest.api.SummaryEnum.COUNT).execute();
        same(FACTS, counted.getTotal());
    }

    private static void add(Bundle page, Set<String> found) {
        page.getEntry().forEach(entry -> found.add(entry.getResource().getIdElement().getIdPart()));
    }

    private void unknown() {
        var error = refused(InvalidRequestException.class,
                () -> client.search().byUrl("Patient?colour=blue").returnBundle(Bundle.class).execute());

        same(true, Writing.outcome(error).getIssueFirstRep().getDiagnostics().contains("birthdate"));
        refused(ResourceNotFoundException.class,
                () -> client.read().resource(Patient.class).withId("nobody").execute());
    }

    private void operations() {
        Bundle record = client.operation().onInstance(new IdType("Patient", WHO)).named("$everything")
                .withNoParameters(Parameters.class).returnResourceType(Bundle.class).execute();
        same(FACTS + 1, record.getTotal());
        for (boolean byGet : new boolean[] {true, false}) {
            var asked = client.operation().onInstance(plan).named("$why").withNoParameters(Parameters.class);
            Parameters why = byGet ? asked.useHttpGet().execute() : asked.execute();
            same(true, why.hasParameter("way"));
        }
        same(CarePlan.CarePlanStatus.ACTIVE,
                client.read().resource(CarePlan.class).withId(plan.getIdPart()).execute().getStatus());
        Bundle of = client.operation().onInstance(new IdType("Patient", WHO)).named("$everything")
                .withParameter(Parameters.class, "_type", new StringType("Observation"))
                .returnResourceType(Bundle.class).execute();
        same(FACTS, of.getTotal());
    }

    private void validation() {
        Patient wrong = Writing.person(WHO);
        wrong.addCommunication().setPreferred(true);

        MethodOutcome found = client.validate().resource(wrong).execute();

        var outcome = (OperationOutcome) found.getOperationOutcome();
        same("Patient.communication[0].language",
                outcome.getIssueFirstRep().getExpression().get(0).getValue());
    }
}
