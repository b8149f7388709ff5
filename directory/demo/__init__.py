"""The whole story in front of a newcomer: real service, real LDAP and SMTP, real mail, one recipient."""
