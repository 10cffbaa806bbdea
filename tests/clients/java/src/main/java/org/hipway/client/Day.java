package org.hipway.client;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A day with HAPI's own client against the service at BASE.
 *
 * <p>Usage: {@code java -cp ... org.hipway.client.Day BASE PLAN}, the latter the id of a CarePlan of a pathway.
 * It prints a line for each step, {@code ok} or {@code not ok}, and ends with 1 if one is not.
 */
public final class Day {
    /** What is done, and checked. */
    @FunctionalInterface
    interface Step {
        void carryOut() throws Exception;
    }

    private Day() {}

    public static void main(String[] arguments) {
        FhirContext r4 = FhirContext.forR4();
        // It reads the CapabilityStatement before anything else, and refuses a server of another release.
        IGenericClient client = r4.newRestfulGenericClient(arguments[0]);
        var steps = new LinkedHashMap<String, Step>();
        new Writing(client).addTo(steps);
        new Finding(client, arguments[1]).addTo(steps);
        boolean good = true;
        for (Map.Entry<String, Step> step : steps.entrySet()) {
            good &= isGood(step.getKey(), step.getValue());
        }
        System.exit(good ? 0 : 1);
    }

    private static boolean isGood(String title, Step step) {
        try {
            step.carryOut();
        } catch (Exception | AssertionError error) {
            System.out.println("not ok " + title);
            error.printStackTrace(System.out);
            return false;
        }
        System.out.println("ok " + title);
        return true;
    }

    static void same(Object wanted, Object found) {
        if (!wanted.equals(found)) {
            throw new AssertionError("wanted " + wanted + ", found " + found);
        }
    }

    /** Return the error that the call ends with. */
    static <E extends Exception> E refused(Class<E> kind, Step step) {
        try {
            step.carryOut();
        } catch (Exception error) {
            if (kind.isInstance(error)) {
                return kind.cast(error);
            }
            throw new AssertionError("refused otherwise", error);
        }
        throw new AssertionError("it was not refused");
    }
}
