"""The service around the certificate authority: lookup, enrolment, delivery, LDAP and HTTP front ends."""
