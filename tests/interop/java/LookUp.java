import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.Base64;
import java.util.Hashtable;
import java.util.TreeSet;
import javax.naming.Context;
import javax.naming.NameNotFoundException;
import javax.naming.NamingEnumeration;
import javax.naming.directory.Attribute;
import javax.naming.directory.Attributes;
import javax.naming.directory.DirContext;
import javax.naming.directory.SearchControls;
import javax.naming.directory.SearchResult;
import javax.naming.ldap.InitialLdapContext;
import javax.naming.ldap.StartTlsRequest;
import javax.naming.ldap.StartTlsResponse;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A Java gateway as JNDI makes it: finds a certificate by its address.
 *
 *     java LookUp.java URL TRUSTED.pem NAME BASE FILTER [tls] < token
 *
 * With NAME "" it stays anonymous. With `tls` the connection goes over to TLS before the bind. Prints what it found,
 * a line each, as `what: value`.
 */
public final class LookUp {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0], name = arguments[2], base = arguments[3], filter = arguments[4];
        String token = new String(System.in.readAllBytes(), "UTF-8").strip();
        boolean startTls = arguments.length > 5 && arguments[5].equals("tls");
        SSLContext.setDefault(trusting(arguments[1]));

        Hashtable<String, Object> environment = new Hashtable<>();
        environment.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.ldap.LdapCtxFactory");
        environment.put(Context.PROVIDER_URL, url);
        environment.put("com.sun.jndi.ldap.read.timeout", "5000");
        environment.put("java.naming.ldap.attributes.binary", "userSMIMECertificate");
        if (!startTls) authenticate(environment, name, token);
        InitialLdapContext context = new InitialLdapContext(environment, null);
        if (startTls) {
            StartTlsResponse tls = (StartTlsResponse) context.extendedOperation(new StartTlsRequest());
            System.out.println("cipher: " + tls.negotiate().getCipherSuite());
            Hashtable<String, Object> late = new Hashtable<>();
            authenticate(late, name, token);
            for (String key : late.keySet()) context.addToEnvironment(key, late.get(key));
            context.reconnect(null);
        }
        showRoot(context);
        showSchema(context);
        showCertificates(context, base, filter);
        try {
            context.getAttributes("cn=nobody,o=nowhere");
        } catch (NameNotFoundException expected) {
            System.out.println("nowhere: name not found");
        }
        context.close();
    }

    private static void authenticate(Hashtable<String, Object> environment, String name, String token) {
        if (name.isEmpty()) return;
        environment.put(Context.SECURITY_AUTHENTICATION, "simple");
        environment.put(Context.SECURITY_PRINCIPAL, name);
        environment.put(Context.SECURITY_CREDENTIALS, token);
    }

    private static void showRoot(DirContext context) throws Exception {
        Attributes root = context.getAttributes("", new String[] {"namingContexts", "supportedLDAPVersion"});
        System.out.println("context: " + root.get("namingContexts").get());
        System.out.println("version: " + root.get("supportedLDAPVersion").get());
    }

    private static void showSchema(DirContext context) throws Exception {
        DirContext schema = context.getSchema("");
        for (String kind : new String[] {"ClassDefinition", "AttributeDefinition"}) {
            TreeSet<String> names = new TreeSet<>(String.CASE_INSENSITIVE_ORDER);
            NamingEnumeration<?> listed = schema.list(kind);
            while (listed.hasMore()) names.add(((javax.naming.NameClassPair) listed.next()).getName());
            System.out.println(kind + ": " + String.join(" ", names));
        }
    }

    private static void showCertificates(DirContext context, String base, String filter) throws Exception {
        SearchControls controls = new SearchControls();
        controls.setSearchScope(SearchControls.SUBTREE_SCOPE);
        controls.setReturningAttributes(new String[] {"userCertificate", "userCertificate;binary", "mail"});
        NamingEnumeration<SearchResult> found = context.search(base, filter, controls);
        while (found.hasMore()) {
            SearchResult entry = found.next();
            System.out.println("entry: " + entry.getNameInNamespace());
            NamingEnumeration<? extends Attribute> attributes = entry.getAttributes().getAll();
            while (attributes.hasMore()) show(attributes.next());
        }
    }

    private static void show(Attribute attribute) throws Exception {
        CertificateFactory certificates = CertificateFactory.getInstance("X.509");
        NamingEnumeration<?> values = attribute.getAll();
        while (values.hasMore()) {
            Object value = values.next();
            if (value instanceof byte[] der) {
                X509Certificate read =
                    (X509Certificate) certificates.generateCertificate(new ByteArrayInputStream(der));
                if (!Arrays.equals(read.getEncoded(), der)) throw new IllegalStateException("not the same octets");
                value = Base64.getEncoder().encodeToString(der);
            }
            System.out.println(attribute.getID() + ": " + value);
        }
    }

    private static SSLContext trusting(String file) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream pem = new FileInputStream(file)) {
            trusted.setCertificateEntry("service", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
