import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CRL;
import java.security.cert.LDAPCertStoreParameters;
import java.security.cert.X509CRL;
import java.security.cert.X509CRLSelector;
import java.security.cert.X509CertSelector;
import java.util.Base64;

/**
 * What Java's path builders ask: the certificates, or the CRLs, of a distinguished name, from CertStore("LDAP").
 *
 *     java FromCertStore.java HOST PORT subject|ca|crl NAME
 *
 * Prints each, DER in Base64, on a line of its own.
 */
public final class FromCertStore {
    public static void main(String[] arguments) throws Exception {
        CertStore store = CertStore.getInstance(
            "LDAP", new LDAPCertStoreParameters(arguments[0], Integer.parseInt(arguments[1])));
        if (arguments[2].equals("crl")) {
            X509CRLSelector selector = new X509CRLSelector();
            selector.addIssuerName(arguments[3]);
            for (CRL found : store.getCRLs(selector)) print(((X509CRL) found).getEncoded());
            return;
        }
        X509CertSelector selector = new X509CertSelector();
        selector.setSubject(arguments[3]);
        // A CA's certificates only; or those of recipients as well.
        selector.setBasicConstraints(arguments[2].equals("ca") ? 0 : -1);
        for (Certificate found : store.getCertificates(selector)) print(found.getEncoded());
    }

    private static void print(byte[] der) {
        System.out.println(Base64.getEncoder().encodeToString(der));
    }
}
