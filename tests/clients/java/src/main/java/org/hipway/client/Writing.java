package org.hipway.client;

import static org.hipway.client.Day.refused;
import static org.hipway.client.Day.same;

import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException;
import ca.uhn.fhir.rest.server.exceptions.PreconditionFailedException;
import ca.uhn.fhir.rest.server.exceptions.ResourceGoneException;
import ca.uhn.fhir.rest.server.exceptions.UnprocessableEntityException;
import java.util.Map;
import java.util.UUID;
import org.hl7.fhir.r4.model.BooleanType;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.CodeType;
import org.hl7.fhir.r4.model.Enumerations.AdministrativeGender;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.OperationOutcome;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.StringType;

/** Creating, changing and removing. */
final class Writing {
    static final String MRN = "https://hospital.example.org/mrn";

    private final IGenericClient client;

    Writing(IGenericClient client) {
        this.client = client;
    }

    void addTo(Map<String, Day.Step> steps) {
        steps.put("a resource is created, changed, read in each version and deleted", this::life);
        steps.put("a condition creates once, updates and deletes the same", this::condition);
        steps.put("an update of an old version is refused", this::lostUpdate);
        steps.put("a patch by JSON and one by paths are carried out", this::patches);
        steps.put("every request may name its encoding", this::encoding);
        steps.put("a transaction is stored, and a batch entry by entry", this::bundles);
        steps.put("a refusal is an OperationOutcome", this::refusal);
    }

    static Patient person(String who) {
        var person = new Patient();
        person.addIdentifier().setSystem(MRN).setValue(who);
        person.addName().setFamily(who).addGiven("Ada");
        return person;
    }

    private Patient created(String who) {
        return (Patient) client.create().resource(person(who)).execute().getResource();
    }

    private Patient read(IdType id) {
        return client.read().resource(Patient.class).withId(id.getIdPart()).execute();
    }

    private void life() {
        MethodOutcome made = client.create().resource(person("hapi-life")).execute();
        same(true, made.getCreated());
        same("1", made.getId().getVersionIdPart());
        Patient patient = (Patient) made.getResource();

        MethodOutcome changed = client.update().resource(patient.setActive(true)).execute();
        same("2", changed.getId().getVersionIdPart());
        IdType id = patient.getIdElement();
        same(true, read(id).getActive());
        Patient first = client.read().resource(Patient.class).withIdAndVersion(id.getIdPart(), "1").execute();
        same(false, first.hasActive());
        Bundle history = client.history().onInstance(id.toVersionless()).returnBundle(Bundle.class).execute();
        same(2, history.getTotal());

        client.delete().resourceById("Patient", id.getIdPart()).execute();
        refused(ResourceGoneException.class, () -> read(id));
    }

    private void condition() {
        var known = Patient.IDENTIFIER.exactly().systemAndIdentifier(MRN, "hapi-once");
        MethodOutcome first = client.create().resource(person("hapi-once")).conditional().where(known).execute();
        MethodOutcome again = client.create().resource(person("hapi-once")).conditional().where(known).execute();
        same(true, first.getCreated());
        same(first.getId().getIdPart(), again.getId().getIdPart());
        same("1", again.getId().getVersionIdPart());
        String url = "Patient?identifier=" + MRN + "%7Chapi-once";
        MethodOutcome byUrl = client.create().resource(person("hapi-once")).conditionalByUrl(url).execute();
        same(first.getId().getIdPart(), byUrl.getId().getIdPart());

        Patient changed = person("hapi-once").setActive(true);
        MethodOutcome updated = client.update().resource(changed).conditional().where(known).execute();
        same(first.getId().getIdPart(), updated.getId().getIdPart());
        same("2", updated.getId().getVersionIdPart());

        client.delete().resourceConditionalByType("Patient").where(known).execute();
        refused(ResourceGoneException.class, () -> read((IdType) first.getId()));
    }

    private void lostUpdate() {
        // The client makes an If-Match of the version that a resource was read with.
        Patient patient = created("hapi-lost");

        client.update().resource(patient.copy().setActive(true)).execute();
        var error = refused(
                PreconditionFailedException.class,
                () -> client.update().resource(patient.copy().setActive(false)).execute());

        same("CONFLICT", outcome(error).getIssueFirstRep().getCode().name());
        same(true, read(patient.getIdElement()).getActive());
    }

    private void patches() {
        IdType id = created("hapi-patch").getIdElement().toUnqualifiedVersionless();
        String body = "[{\"op\": \"add\", \"path\": \"/active\", \"value\": true}]";
        client.patch().withBody(body).withId(id).execute();
        same(true, read(id).getActive());

        var change = new Parameters();
        var operation = change.addParameter().setName("operation");
        operation.addPart().setName("type").setValue(new CodeType("replace"));
        operation.addPart().setName("path").setValue(new StringType("Patient.active"));
        operation.addPart().setName("value").setValue(new BooleanType(false));
        MethodOutcome changed = client.patch().withFhirPatch(change).withId(id).execute();
        same("3", changed.getId().getVersionIdPart());
        same(false, read(id).getActive());

        var known = Patient.IDENTIFIER.exactly().systemAndIdentifier(MRN, "hapi-patch");
        client.patch().withBody(body).conditional("Patient").where(known).execute();
        same(true, read(id).getActive());
    }

    private void encoding() {
        client.setEncoding(EncodingEnum.JSON);
        client.setPrettyPrint(true);
        try {
            condition();
            Patient patient = created("hapi-encoding");
            same("2", client.update().resource(patient.setActive(true)).execute().getId().getVersionIdPart());
        } finally {
            client.setEncoding(null);
            client.setPrettyPrint(null);
        }
    }

    private void bundles() {
        var transaction = new Bundle().setType(Bundle.BundleType.TRANSACTION);
        String url = "urn:uuid:" + UUID.randomUUID();
        transaction.addEntry().setFullUrl(url).setResource(person("hapi-bundle"))
                .getRequest().setMethod(Bundle.HTTPVerb.POST).setUrl("Patient")
                .setIfNoneExist("Patient?identifier=" + MRN + "|hapi-bundle");
        Bundle answer = client.transaction().withBundle(transaction).execute();
        same("201", answer.getEntryFirstRep().getResponse().getStatus().substring(0, 3));
        Bundle again = client.transaction().withBundle(transaction).execute();
        same("200", again.getEntryFirstRep().getResponse().getStatus().substring(0, 3));

        var batch = new Bundle().setType(Bundle.BundleType.BATCH);
        Patient bad = person("hapi-bad");
        bad.setId("hapi-bad");
        bad.addContact();
        bad.addCommunication();
        batch.addEntry().setResource(bad).getRequest().setMethod(Bundle.HTTPVerb.PUT).setUrl("Patient/hapi-bad");
        batch.addEntry().getRequest().setMethod(Bundle.HTTPVerb.GET).setUrl("Patient?family=hapi-bundle");
        Bundle answers = client.transaction().withBundle(batch).execute();
        same("201", answers.getEntry().get(0).getResponse().getStatus().substring(0, 3));
        same(1, ((Bundle) answers.getEntry().get(1).getResource()).getTotal());
    }

    private void refusal() {
        Patient twice = person("hapi-refused").setGender(AdministrativeGender.FEMALE);
        twice.addCommunication().setPreferred(true);

        var error = refused(
                UnprocessableEntityException.class, () -> client.create().resource(twice).execute());

        same("Patient.communication[0].language",
                outcome(error).getIssueFirstRep().getExpression().get(0).getValue());
    }

    static OperationOutcome outcome(BaseServerResponseException error) {
        return (OperationOutcome) error.getOperationOutcome();
    }
}
