package org.hipway.hapi;

import ca.uhn.fhir.rest.server.RestfulServer;
import java.net.InetAddress;
import java.nio.file.Files;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/**
 * A HAPI FHIR R4 server at http://127.0.0.1:PORT/fhir, for tests and for people who try hipway beside it.
 *
 * <p>Usage: {@code java -cp ... org.hipway.hapi.Main PORT}, with the database and the interval of the
 * Subscriptions in the environment (see {@link Storage}). It prints one line that begins with READY when it answers, and ends with SIGTERM.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        System.setProperty(Web.BASE, "http://127.0.0.1:" + port + "/fhir");
        // The context first: the operations of clinical reasoning add themselves to the server while it
        // refreshes, and the servlet reads what there is when it starts.
        var context = new AnnotationConfigApplicationContext(Storage.class, Web.class, Reasoning.class);
        Tomcat tomcat = tomcat(port, context.getBean(RestfulServer.class));
        tomcat.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(tomcat, context)));
        System.out.println("READY " + System.getProperty(Web.BASE));
        tomcat.getServer().await();
    }

    private static Tomcat tomcat(int port, RestfulServer server) throws Exception {
        var tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("hapi").toString());
        var connector = new Connector();
        connector.setPort(port);
        connector.setProperty("address", InetAddress.getLoopbackAddress().getHostAddress());
        // "identifier=system|value" is what people type; Tomcat would answer 400 in HTML.
        connector.setProperty("relaxedQueryChars", "|");
        // Tomcat would close a connection after a hundred requests, and a client that holds one must not notice.
        connector.setProperty("maxKeepAliveRequests", "-1");
        tomcat.setConnector(connector);
        Context root = tomcat.addContext("", null);
        Tomcat.addServlet(root, "fhir", server).setLoadOnStartup(1);
        root.addServletMappingDecoded("/fhir/*", "fhir");
        return tomcat;
    }

    private static void stop(Tomcat tomcat, AnnotationConfigApplicationContext context) {
        try {
            tomcat.stop();
            tomcat.destroy();
        } catch (Exception error) {
            System.err.println("Tomcat does not stop: " + error);
        } finally {
            context.close();
        }
    }
}
