"""What changes a database from one version of the schema to the next."""
